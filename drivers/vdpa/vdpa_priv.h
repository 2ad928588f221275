/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two files of the vDPA core share: the bus (vdpa.c) knows the
 * devices, the management interface (vdpa_mgmt.c) lists, makes and deletes
 * them.
 */
#ifndef _VDPA_PRIV_H
#define _VDPA_PRIV_H

#include <linux/mutex.h>
#include <linux/vdpa.h>
#include <linux/xarray.h>

/*
 * Held while a device or a management device comes or goes: who holds it finds
 * them as they are, and their parents' modules in place. Outermost; device
 * locks and vdpa_device.config_lock nest inside.
 */
extern struct mutex vdpa_lock;

/* The registered devices, by index. Changed, and read, under vdpa_lock. */
extern struct xarray vdpa_devices;

/* vdpa.c */
struct vdpa_device *vdpa_find_device(const char *name);
int vdpa_register_device_locked(struct vdpa_device *vdev);
void vdpa_unregister_device_locked(struct vdpa_device *vdev);

/* vdpa_mgmt.c */
int vdpa_mgmt_init(void);
void vdpa_mgmt_exit(void);

#endif /* _VDPA_PRIV_H */
