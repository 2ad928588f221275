/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost-vdpa: what its files share.
 *
 * vdpa.c has the character device and the ioctls, vdpa_as.c the address spaces.
 *
 * Moved from vdpa.c:
 * Copyright (C) 2018-2020 Intel Corporation.
 * Copyright (C) 2020 Red Hat, Inc.
 *
 * Author: Tiwei Bie <tiwei.bie@intel.com>
 *         Jason Wang <jasowang@redhat.com>
 */
#ifndef _VHOST_VDPA_H
#define _VHOST_VDPA_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/vdpa.h>

#include "vhost.h"
#include "vdpa_as.h"

/**
 * struct vhost_vdpa - the character device of a vDPA device
 * @vdev: the vhost device.  Its mutex serializes messages and ioctls, and is
 *	held while they access userspace's memory.
 * @lock: protects @vdpa, @file, @suspended and @spaces.  Held while the device
 *	is used, except for kicks and doorbells; never held while userspace's
 *	memory is accessed or a page is locked, both of which can take forever.
 *	So removal of the device, which takes it, is never held up by userspace.
 * @vdpa: the vDPA device; NULL once it has been removed.  It stays while @lock
 *	is held, or in a read-side critical section of @srcu.
 * @srcu: for kicks, which come in atomic context, and for page faults of
 *	doorbells, which come with mmap_lock held
 * @file: the open file, or NULL.  There can be one.
 * @suspended: the device is suspended, and can be resumed or reset
 * @spaces: address spaces
 * @vqs: virtqueues; there are @vdev.nvqs
 * @debugfs_open: the file "open" in debugfs
 * @debugfs_spaces: the file "address_spaces" in debugfs
 * @dev: device in sysfs, of which the open file has a reference
 * @cdev: character device
 * @minor: its minor number
 * @config_ctx: eventfd of the configuration interrupt, or NULL
 * @config_lock: held to signal or replace @config_ctx, with interrupts disabled
 * @backend_features: backend features that userspace has acknowledged.
 *	Protected by the mutex of @vdev.
 *
 * The file can outlive the device: vhost_vdpa_remove() doesn't wait until it is
 * closed, but sets @vdpa to NULL.
 *
 * Lock order: the mutex of @vdev, mmap_lock, @srcu; the mutex of @vdev, @lock,
 * locks of the parent.  @lock and mmap_lock are never held together.
 */
struct vhost_vdpa {
	struct vhost_dev vdev;
	/* Protects @vdpa, @file, @suspended and @spaces */
	struct mutex lock;
	struct vdpa_device __rcu *vdpa;
	struct srcu_struct srcu;
	struct file *file;
	bool suspended;
	struct vhost_vdpa_spaces spaces;
	struct vhost_virtqueue *vqs;
	struct dentry *debugfs_open;
	struct dentry *debugfs_spaces;
	struct device dev;
	struct cdev cdev;
	int minor;
	struct eventfd_ctx *config_ctx;
	/* Held to signal or replace @config_ctx, with interrupts disabled */
	spinlock_t config_lock;
	u64 backend_features;
};

/* The device, or NULL if it has been removed.  The caller holds @v->lock. */
static inline struct vdpa_device *vhost_vdpa_device(struct vhost_vdpa *v)
{
	return rcu_dereference_protected(v->vdpa, lockdep_is_held(&v->lock));
}

/*
 * Whether the device has been removed.  Without @v->lock, it may be removed right
 * after this has returned false.
 */
static inline bool vhost_vdpa_removed(struct vhost_vdpa *v)
{
	return !rcu_access_pointer(v->vdpa);
}

#endif /* _VHOST_VDPA_H */
