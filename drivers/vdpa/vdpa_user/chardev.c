// SPDX-License-Identifier: GPL-2.0-only
/*
 * VDUSE: /dev/vduse/NAME, with which the daemon implements the device. It reads
 * requests and writes responses, and does the rest with ioctls.
 *
 * A caller of the kernel waits for the response of each request, so there are as
 * many requests at a time as there are callers, and those hold locks: few.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>

#include "vduse.h"

/**
 * struct vduse_msg - a request that a caller waits for
 * @req: the request
 * @resp: the response
 * @link: in &vduse_dev.send or &vduse_dev.sent
 * @wait: the caller waits here
 * @done: @resp is valid, or the device is broken. Protected by
 *	&vduse_dev.msg_lock, like @link.
 */
struct vduse_msg {
	struct vduse_dev_request req;
	struct vduse_dev_response resp;
	struct list_head link;
	wait_queue_head_t wait;
	bool done;
};

/* ---- requests, for the rest of the driver ---- */

/* Take a message off its list; the caller of the kernel goes on. */
static void vduse_msg_done(struct vduse_msg *msg, u32 result)
{
	msg->resp.result = result;
	msg->done = true;
	list_del(&msg->link);
	wake_up(&msg->wait);
}

static void vduse_break_locked(struct vduse_dev *dev)
{
	struct vduse_msg *msg, *next;

	lockdep_assert_held(&dev->msg_lock);

	if (dev->broken)
		return;
	dev->broken = true;
	WRITE_ONCE(dev->needs_reset, true);
	dev->reopened = false;
	list_for_each_entry_safe(msg, next, &dev->send, link)
		vduse_msg_done(msg, VDUSE_REQ_RESULT_FAILED);
	list_for_each_entry_safe(msg, next, &dev->sent, link)
		vduse_msg_done(msg, VDUSE_REQ_RESULT_FAILED);
	wake_up_all(&dev->msg_wait);
	queue_work(system_unbound_wq, &dev->broken_work);
}

/**
 * vduse_break - stop sending requests, and take all memory from the daemon
 * @dev: the device
 */
void vduse_break(struct vduse_dev *dev)
{
	spin_lock(&dev->msg_lock);
	vduse_break_locked(dev);
	spin_unlock(&dev->msg_lock);
}

/**
 * vduse_dying - let no request wait for much longer
 * @dev: the device, which is about to leave the bus
 */
void vduse_dying(struct vduse_dev *dev)
{
	struct vduse_msg *msg;

	spin_lock(&dev->msg_lock);
	dev->dying = true;
	dev->dying_until = jiffies + VDUSE_DYING_TIMEOUT;
	list_for_each_entry(msg, &dev->send, link)
		wake_up(&msg->wait);
	list_for_each_entry(msg, &dev->sent, link)
		wake_up(&msg->wait);
	spin_unlock(&dev->msg_lock);
}

/**
 * vduse_mend - let a device work again, in a reset
 * @dev: the device
 *
 * That takes a daemon that has opened the device since it was broken.
 *
 * Return: true if the device isn't broken.
 */
bool vduse_mend(struct vduse_dev *dev)
{
	bool broken;

	/* Afterwards, its work for this failure is done */
	flush_work(&dev->broken_work);

	spin_lock(&dev->msg_lock);
	if (dev->reopened)
		dev->broken = false;
	broken = dev->broken;
	spin_unlock(&dev->msg_lock);

	return !broken;
}

/* Jiffies that a request may still take, at least 1 */
static long vduse_msg_left(struct vduse_dev *dev, unsigned long until)
{
	if (READ_ONCE(dev->dying) && time_before(dev->dying_until, until))
		until = dev->dying_until;

	return max_t(long, until - jiffies, 1);
}

/*
 * Send a request and wait for the response. Returns 0, or
 * -EIO if the daemon says that it failed, or the device is or becomes broken,
 * -ETIMEDOUT if there is no response in time: then the device is broken,
 * -EINTR if the caller is being killed.
 */
static int vduse_msg_send(struct vduse_dev *dev, struct vduse_msg *msg)
{
	unsigned long until;
	long ret, left;
	bool dying;

	init_waitqueue_head(&msg->wait);

	spin_lock(&dev->msg_lock);
	if (dev->broken) {
		spin_unlock(&dev->msg_lock);
		return -EIO;
	}
	msg->req.request_id = dev->msg_id++;
	list_add_tail(&msg->link, &dev->send);
	until = jiffies + dev->msg_timeout * HZ;
	spin_unlock(&dev->msg_lock);
	wake_up(&dev->msg_wait);

	/* Once more with less time if the device begins to die */
	do {
		dying = READ_ONCE(dev->dying);
		left = vduse_msg_left(dev, until);
		ret = wait_event_killable_timeout(msg->wait,
						  READ_ONCE(msg->done) ||
						  READ_ONCE(dev->dying) != dying,
						  left);
	} while (ret > 0 && !READ_ONCE(msg->done));

	spin_lock(&dev->msg_lock);
	if (msg->done) {
		ret = msg->resp.result == VDUSE_REQ_RESULT_OK ? 0 : -EIO;
	} else {
		list_del(&msg->link);
		if (!ret) {
			dev_warn(dev->dev, "the daemon doesn't answer\n");
			vduse_break_locked(dev);
			ret = -ETIMEDOUT;
		} else {
			ret = -EINTR;
		}
	}
	spin_unlock(&dev->msg_lock);

	return ret;
}

/**
 * vduse_set_status_msg - tell the daemon the device status
 * @dev: the device
 * @status: the status, 0 for a reset
 *
 * Return: 0 or the error of vduse_msg_send().
 */
int vduse_set_status_msg(struct vduse_dev *dev, u8 status)
{
	struct vduse_msg msg = { .req.type = VDUSE_SET_STATUS };

	msg.req.s.status = status;

	return vduse_msg_send(dev, &msg);
}

/**
 * vduse_update_iotlb_msg - tell the daemon that a range of IOVAs has changed
 * @dev: the device
 * @asid: the address space
 * @start: first IOVA
 * @last: last IOVA
 *
 * Return: 0 or the error of vduse_msg_send().
 */
int vduse_update_iotlb_msg(struct vduse_dev *dev, u32 asid, u64 start, u64 last)
{
	struct vduse_msg msg = { .req.type = VDUSE_UPDATE_IOTLB };

	/* The same but for the ASID, which version 0 doesn't know */
	msg.req.iova_v2.start = start;
	msg.req.iova_v2.last = last;
	msg.req.iova_v2.asid = asid;

	return vduse_msg_send(dev, &msg);
}

/**
 * vduse_set_group_asid_msg - tell the daemon the address space of a group
 * @dev: the device
 * @group: the group
 * @asid: the address space
 *
 * Return: 0 or the error of vduse_msg_send().
 */
int vduse_set_group_asid_msg(struct vduse_dev *dev, u32 group, u32 asid)
{
	struct vduse_msg msg = { .req.type = VDUSE_SET_VQ_GROUP_ASID };

	msg.req.vq_group_asid.group = group;
	msg.req.vq_group_asid.asid = asid;

	return vduse_msg_send(dev, &msg);
}

/**
 * vduse_set_vq_ready_msg - tell the daemon that a virtqueue is ready, or not
 * @dev: the device, with VDUSE_F_QUEUE_READY
 * @index: index of the virtqueue
 * @ready: whether it is ready
 *
 * Return: 0 or the error of vduse_msg_send().
 */
int vduse_set_vq_ready_msg(struct vduse_dev *dev, u32 index, bool ready)
{
	struct vduse_msg msg = { .req.type = VDUSE_SET_VQ_READY };

	msg.req.vq_ready.num = index;
	msg.req.vq_ready.ready = ready;

	return vduse_msg_send(dev, &msg);
}

/**
 * vduse_suspend_msg - let the daemon stop
 * @dev: the device, with VDUSE_F_SUSPEND
 *
 * Return: 0 or the error of vduse_msg_send().
 */
int vduse_suspend_msg(struct vduse_dev *dev)
{
	struct vduse_msg msg = { .req.type = VDUSE_SUSPEND };

	return vduse_msg_send(dev, &msg);
}

static bool vduse_is_packed(const struct vduse_dev *dev)
{
	return dev->driver_features & BIT_ULL(VIRTIO_F_RING_PACKED);
}

/* The wrap counter is the highest bit of a position in a packed ring. */
static u16 vduse_packed_pos(u16 index, u16 counter)
{
	return (index & 0x7fff) | (counter & 1) << 15;
}

/**
 * vduse_get_vq_state_msg - ask the daemon where a virtqueue is in its ring
 * @dev: the device
 * @index: index of the virtqueue
 * @state: filled in
 *
 * Return: 0 or the error of vduse_msg_send().
 */
int vduse_get_vq_state_msg(struct vduse_dev *dev, u32 index,
			   struct vdpa_vq_state *state)
{
	struct vduse_msg msg = { .req.type = VDUSE_GET_VQ_STATE };
	struct vduse_vq_state_packed *packed = &msg.resp.vq_state.packed;
	int ret;

	msg.req.vq_state.index = index;
	ret = vduse_msg_send(dev, &msg);
	if (ret)
		return ret;

	if (vduse_is_packed(dev)) {
		state->avail_index = vduse_packed_pos(packed->last_avail_idx,
						      packed->last_avail_counter);
		state->used_index = vduse_packed_pos(packed->last_used_idx,
						     packed->last_used_counter);
	} else {
		state->avail_index = msg.resp.vq_state.split.avail_index;
	}

	return 0;
}

/* ---- the file of the daemon ---- */

static int vduse_dev_fop_open(struct inode *inode, struct file *file)
{
	struct vduse_dev *dev = vduse_dev_open(iminor(inode));

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	file->private_data = dev;

	return 0;
}

/*
 * The daemon is gone. Another one can go on where it was: it gets the requests
 * that haven't been answered.
 */
static int vduse_dev_fop_release(struct inode *inode, struct file *file)
{
	struct vduse_dev *dev = file->private_data;
	struct eventfd_ctx *kickfd;
	unsigned int i;

	for (i = 0; i < dev->nvqs; i++) {
		spin_lock_irq(&dev->vqs[i].kick_lock);
		kickfd = dev->vqs[i].kickfd;
		dev->vqs[i].kickfd = NULL;
		spin_unlock_irq(&dev->vqs[i].kick_lock);
		if (kickfd)
			eventfd_ctx_put(kickfd);
	}

	spin_lock(&dev->msg_lock);
	list_splice_init(&dev->sent, &dev->send);
	spin_unlock(&dev->msg_lock);

	mutex_lock(&dev->lock);
	if (dev->bounce) {
		vduse_bounce_dereg_umem(dev->bounce);
		vduse_bounce_trim(dev->bounce);
	}
	dev->connected = false;
	mutex_unlock(&dev->lock);

	return 0;
}

static ssize_t vduse_dev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct vduse_dev *dev = file->private_data;
	struct vduse_dev_request req;
	struct list_head *send = &dev->send;
	struct vduse_msg *msg;
	int ret;

	if (iov_iter_count(to) < sizeof(req))
		return -EINVAL;

	spin_lock(&dev->msg_lock);
	while (list_empty(send)) {
		spin_unlock(&dev->msg_lock);
		if (file->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT)
			return -EAGAIN;
		ret = wait_event_interruptible_exclusive(dev->msg_wait,
							 !list_empty_careful(send));
		if (ret)
			return ret;
		spin_lock(&dev->msg_lock);
	}
	msg = list_first_entry(send, struct vduse_msg, link);
	list_move_tail(&msg->link, &dev->sent);
	/* The caller can give up, and the message is gone then */
	req = msg->req;
	spin_unlock(&dev->msg_lock);

	if (copy_to_iter(&req, sizeof(req), to) == sizeof(req))
		return sizeof(req);

	/* It hasn't been read */
	spin_lock(&dev->msg_lock);
	list_for_each_entry(msg, &dev->sent, link) {
		if (msg->req.request_id != req.request_id)
			continue;
		list_move(&msg->link, &dev->send);
		wake_up(&dev->msg_wait);
		break;
	}
	spin_unlock(&dev->msg_lock);

	return -EFAULT;
}

/* Whether it is an answer to that request */
static bool vduse_answers(const struct vduse_dev_response *resp,
			  const struct vduse_dev_request *req)
{
	return req->type != VDUSE_GET_VQ_STATE ||
	       resp->result != VDUSE_REQ_RESULT_OK ||
	       resp->vq_state.index == req->vq_state.index;
}

static ssize_t vduse_dev_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct vduse_dev *dev = iocb->ki_filp->private_data;
	struct vduse_dev_response resp;
	struct vduse_msg *msg;
	ssize_t ret = -ENOENT;

	if (iov_iter_count(from) < sizeof(resp))
		return -EINVAL;
	if (!copy_from_iter_full(&resp, sizeof(resp), from))
		return -EFAULT;

	spin_lock(&dev->msg_lock);
	list_for_each_entry(msg, &dev->sent, link) {
		if (msg->req.request_id != resp.request_id)
			continue;
		ret = -EINVAL;
		if (vduse_answers(&resp, &msg->req)) {
			msg->resp = resp;
			vduse_msg_done(msg, resp.result);
			ret = sizeof(resp);
		}
		break;
	}
	spin_unlock(&dev->msg_lock);

	return ret;
}

static __poll_t vduse_dev_poll(struct file *file, poll_table *wait)
{
	struct vduse_dev *dev = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &dev->msg_wait, wait);

	spin_lock(&dev->msg_lock);
	/* For the daemon that is to blame, not for the next one */
	if (dev->broken && !dev->reopened)
		mask |= EPOLLERR;
	if (!list_empty(&dev->send))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!list_empty(&dev->sent))
		mask |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock(&dev->msg_lock);

	return mask;
}

/* ---- ioctls ---- */

/* Get the virtqueue of an index from userspace, or NULL. */
static struct vduse_vq *vduse_get_vq(struct vduse_dev *dev, u32 index)
{
	if (index >= dev->nvqs)
		return NULL;

	return &dev->vqs[array_index_nospec(index, dev->nvqs)];
}

/* Give the daemon a file, and then tell where in it the region is. */
static long vduse_install(struct file *file, void __user *argp,
			  const void *entry, size_t size)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd >= 0 && copy_to_user(argp, entry, size)) {
		put_unused_fd(fd);
		fd = -EFAULT;
	}
	if (fd < 0) {
		fput(file);
		return fd;
	}
	fd_install(fd, file);

	return fd;
}

static long vduse_iotlb_get_fd(struct vduse_dev *dev, void __user *argp)
{
	struct vduse_iotlb_entry_v2 region = {};
	struct vduse_iotlb_entry entry;
	struct file *file;
	int ret;

	if (copy_from_user(&entry, argp, sizeof(entry)))
		return -EFAULT;

	region.start = entry.start;
	region.last = entry.last;
	mutex_lock(&dev->lock);
	ret = vduse_as_get_fd(dev, &region, &file);
	mutex_unlock(&dev->lock);
	if (ret)
		return ret;

	memset(&entry, 0, sizeof(entry));
	entry.offset = region.offset;
	entry.start = region.start;
	entry.last = region.last;
	entry.perm = region.perm;

	return vduse_install(file, argp, &entry, sizeof(entry));
}

static long vduse_iotlb_get_fd2(struct vduse_dev *dev, void __user *argp)
{
	struct vduse_iotlb_entry_v2 entry;
	struct file *file;
	int ret;

	/* Version 0 has no such ioctl */
	if (!dev->api_version)
		return -ENOIOCTLCMD;
	if (copy_from_user(&entry, argp, sizeof(entry)))
		return -EFAULT;
	if (memchr_inv(entry.padding, 0, sizeof(entry.padding)) ||
	    memchr_inv(entry.reserved, 0, sizeof(entry.reserved)))
		return -EINVAL;

	mutex_lock(&dev->lock);
	ret = vduse_as_get_fd(dev, &entry, &file);
	mutex_unlock(&dev->lock);
	if (ret)
		return ret;

	return vduse_install(file, argp, &entry, sizeof(entry));
}

static long vduse_iotlb_get_info(struct vduse_dev *dev, void __user *argp)
{
	struct vduse_iova_info info;
	int ret;

	if (copy_from_user(&info, argp, sizeof(info)))
		return -EFAULT;
	if (memchr_inv(info.reserved, 0, sizeof(info.reserved)))
		return -EINVAL;

	mutex_lock(&dev->lock);
	ret = vduse_as_get_info(dev, &info);
	mutex_unlock(&dev->lock);
	if (ret)
		return ret;

	if (copy_to_user(argp, &info, sizeof(info)))
		return -EFAULT;

	return 0;
}

/* Only the buffers of a virtio driver of this kernel can have such memory. */
static long vduse_iotlb_umem(struct vduse_dev *dev, void __user *argp, bool reg)
{
	struct vduse_iova_umem umem;
	struct page **pages = NULL;
	long ret;

	if (copy_from_user(&umem, argp, sizeof(umem)))
		return -EFAULT;
	if (memchr_inv(umem.reserved, 0, sizeof(umem.reserved)) || umem.asid ||
	    umem.iova || umem.size != VDUSE_BUFFER_SIZE)
		return -EINVAL;
	if (reg && (umem.uaddr > ULONG_MAX - VDUSE_BUFFER_SIZE ||
		    offset_in_page(umem.uaddr)))
		return -EINVAL;

	if (reg) {
		pages = vduse_umem_pin(umem.uaddr);
		if (IS_ERR(pages))
			return PTR_ERR(pages);
	}

	mutex_lock(&dev->lock);
	if (!dev->bounce)
		ret = -ENOENT;
	else if (!reg)
		ret = vduse_bounce_dereg_umem(dev->bounce);
	else if (READ_ONCE(dev->broken))
		ret = -EIO;
	else
		ret = vduse_bounce_reg_umem(dev->bounce, pages);
	mutex_unlock(&dev->lock);

	if (reg && ret)
		vduse_umem_unpin(pages, current->mm);

	return ret;
}

/*
 * virtio_blk takes the fields of a disk to fit together, but reads one after the
 * other: only the capacity may change while the device is on the bus.
 */
static bool vduse_config_fixed(const struct vduse_dev *dev, const u8 *config)
{
	const u32 from = sizeof_field(struct virtio_blk_config, capacity);

	lockdep_assert_held(&dev->lock);
	lockdep_assert_held(&dev->space_lock);

	return dev->vdev && dev->device_id == VIRTIO_ID_BLOCK &&
	       dev->config_size > from &&
	       memcmp(config + from, dev->config + from, dev->config_size - from);
}

static long vduse_dev_set_config(struct vduse_dev *dev,
				 struct vduse_config_data __user *argp)
{
	struct vduse_config_data data;
	long ret = -EINVAL;
	u8 *buf, *config;

	if (copy_from_user(&data, argp, sizeof(data)))
		return -EFAULT;
	if (!data.length || data.offset > dev->config_size ||
	    data.length > dev->config_size - data.offset)
		return -EINVAL;

	buf = memdup_user(argp->buffer, data.length);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	config = kmalloc(dev->config_size, GFP_KERNEL_ACCOUNT);
	if (!config) {
		kfree(buf);
		return -ENOMEM;
	}

	mutex_lock(&dev->lock);
	mutex_lock(&dev->space_lock);
	memcpy(config, dev->config, dev->config_size);
	memcpy(config + data.offset, buf, data.length);
	if (vduse_config_fixed(dev, config)) {
		ret = -EBUSY;
	} else if (vduse_config_ok(dev->device_id, dev->features, dev->nvqs,
				   config, dev->config_size)) {
		swap(dev->config, config);
		dev->generation++;
		ret = 0;
	}
	mutex_unlock(&dev->space_lock);
	mutex_unlock(&dev->lock);
	kfree(config);
	kfree(buf);

	return ret;
}

/*
 * Once the device is on the bus, nothing changes. A daemon that takes over from
 * another sets up the same again.
 */
static long vduse_vq_setup(struct vduse_dev *dev, void __user *argp)
{
	struct vduse_vq_config config;
	struct vduse_vq *vq;
	long ret = 0;

	if (copy_from_user(&config, argp, sizeof(config)))
		return -EFAULT;
	if (config.reserved1 ||
	    memchr_inv(config.reserved2, 0, sizeof(config.reserved2)))
		return -EINVAL;
	if (!config.max_size || config.max_size > VDUSE_VQ_SIZE_MAX)
		return -EINVAL;
	/* The field was reserved in version 0 */
	if (config.group >= dev->ngroups)
		return -EINVAL;
	vq = vduse_get_vq(dev, config.index);
	if (!vq)
		return -EINVAL;

	mutex_lock(&dev->lock);
	if (!dev->vdev) {
		vq->num_max = config.max_size;
		vq->group = config.group;
	} else if (vq->num_max != config.max_size ||
		   vq->group != config.group) {
		ret = -EBUSY;
	}
	mutex_unlock(&dev->lock);

	return ret;
}

static long vduse_vq_get_info(struct vduse_dev *dev, void __user *argp)
{
	struct vduse_vq_info info;
	struct vduse_vq *vq;
	u32 index;

	if (get_user(index, (u32 __user *)argp))
		return -EFAULT;
	vq = vduse_get_vq(dev, index);
	if (!vq)
		return -EINVAL;

	memset(&info, 0, sizeof(info));
	info.index = index;
	mutex_lock(&dev->vq_lock);
	info.num = vq->num;
	info.desc_addr = vq->desc_addr;
	info.driver_addr = vq->driver_addr;
	info.device_addr = vq->device_addr;
	info.ready = READ_ONCE(vq->ready);
	if (vduse_is_packed(dev)) {
		info.packed.last_avail_idx = vq->state.avail_index & 0x7fff;
		info.packed.last_avail_counter = vq->state.avail_index >> 15;
		info.packed.last_used_idx = vq->state.used_index & 0x7fff;
		info.packed.last_used_counter = vq->state.used_index >> 15;
	} else {
		info.split.avail_index = vq->state.avail_index;
	}
	mutex_unlock(&dev->vq_lock);

	if (copy_to_user(argp, &info, sizeof(info)))
		return -EFAULT;

	return 0;
}

static long vduse_vq_setup_kickfd(struct vduse_dev *dev, void __user *argp)
{
	struct eventfd_ctx *kickfd = NULL;
	struct vduse_vq_eventfd eventfd;
	struct vduse_vq *vq;

	if (copy_from_user(&eventfd, argp, sizeof(eventfd)))
		return -EFAULT;
	vq = vduse_get_vq(dev, eventfd.index);
	if (!vq)
		return -EINVAL;

	if (eventfd.fd != VDUSE_EVENTFD_DEASSIGN) {
		kickfd = eventfd_ctx_fdget(eventfd.fd);
		if (IS_ERR(kickfd))
			return PTR_ERR(kickfd);
	}

	spin_lock_irq(&vq->kick_lock);
	swap(vq->kickfd, kickfd);
	if (vq->ready && vq->kicked && vq->kickfd) {
		eventfd_signal(vq->kickfd, 1);
		vq->kicked = false;
	}
	spin_unlock_irq(&vq->kick_lock);

	if (kickfd)
		eventfd_ctx_put(kickfd);

	return 0;
}

static bool vduse_runs(const struct vduse_dev *dev)
{
	return READ_ONCE(dev->status) & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !READ_ONCE(dev->broken);
}

static long vduse_vq_inject_irq(struct vduse_dev *dev, void __user *argp)
{
	struct vduse_vq *vq;
	u32 index;

	if (get_user(index, (u32 __user *)argp))
		return -EFAULT;
	vq = vduse_get_vq(dev, index);
	if (!vq || !vduse_runs(dev))
		return -EINVAL;

	vduse_vq_call(dev, vq);

	return 0;
}

static long vduse_dev_inject_config_irq(struct vduse_dev *dev)
{
	if (!vduse_runs(dev))
		return -EINVAL;

	vduse_config_call(dev);

	return 0;
}

static long vduse_dev_get_features(struct vduse_dev *dev, void __user *argp)
{
	u64 features = READ_ONCE(dev->driver_features);

	return put_user(features, (u64 __user *)argp);
}

static long vduse_dev_ioctl(struct file *file, unsigned int cmd,
			    unsigned long arg)
{
	struct vduse_dev *dev = file->private_data;
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case VDUSE_IOTLB_GET_FD:
		return vduse_iotlb_get_fd(dev, argp);
	case VDUSE_IOTLB_REG_UMEM:
		return vduse_iotlb_umem(dev, argp, true);
	case VDUSE_IOTLB_DEREG_UMEM:
		return vduse_iotlb_umem(dev, argp, false);
	case VDUSE_IOTLB_GET_INFO:
		return vduse_iotlb_get_info(dev, argp);
	case VDUSE_IOTLB_GET_FD2:
		return vduse_iotlb_get_fd2(dev, argp);
	case VDUSE_DEV_GET_FEATURES:
		return vduse_dev_get_features(dev, argp);
	case VDUSE_DEV_SET_CONFIG:
		return vduse_dev_set_config(dev, argp);
	case VDUSE_DEV_INJECT_CONFIG_IRQ:
		return vduse_dev_inject_config_irq(dev);
	case VDUSE_VQ_SETUP:
		return vduse_vq_setup(dev, argp);
	case VDUSE_VQ_GET_INFO:
		return vduse_vq_get_info(dev, argp);
	case VDUSE_VQ_SETUP_KICKFD:
		return vduse_vq_setup_kickfd(dev, argp);
	case VDUSE_VQ_INJECT_IRQ:
		return vduse_vq_inject_irq(dev, argp);
	default:
		return -ENOIOCTLCMD;
	}
}

const struct file_operations vduse_dev_fops = {
	.owner = THIS_MODULE,
	.open = vduse_dev_fop_open,
	.release = vduse_dev_fop_release,
	.read_iter = vduse_dev_read_iter,
	.write_iter = vduse_dev_write_iter,
	.poll = vduse_dev_poll,
	.unlocked_ioctl = vduse_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
