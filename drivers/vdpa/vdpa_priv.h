/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the bus (vdpa.c, module vdpa) exports to the management interface
 * (vdpa_mgmt.c, module vdpa_mgmt), in the symbol namespace VDPA.
 */
#ifndef _VDPA_PRIV_H
#define _VDPA_PRIV_H

#include <linux/mutex.h>
#include <linux/vdpa.h>
#include <linux/xarray.h>

/*
 * Held while a device or a management device is registered, unregistered or
 * looked up, and while a device that was looked up is used: it stays
 * registered. Not held while a driver probes a new device, which can take long.
 * Outermost; device locks and vdpa_device.state_lock nest inside.
 */
extern struct mutex vdpa_lock;

/* The registered devices, by index. Read and changed under vdpa_lock. */
extern struct xarray vdpa_devices;

struct vdpa_device *vdpa_find_device(const char *name);
int vdpa_register_device_locked(struct vdpa_device *vdev);
void vdpa_attach_device(struct vdpa_device *vdev);
void vdpa_unregister_device_locked(struct vdpa_device *vdev);

#endif /* _VDPA_PRIV_H */
