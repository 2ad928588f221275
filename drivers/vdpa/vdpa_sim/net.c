// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vDPA device simulator: a network device that loops frames back.  A frame
 * that the driver sends to the device's own address, or to a group address, is
 * received by the same driver.  There is a control virtqueue.
 *
 * With parts of vdpa_sim.c:
 * Copyright (c) 2020, Red Hat Inc. All rights reserved.
 */
#include <linux/device.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_net.h>

#include "sim.h"

enum {
	VDPASIM_NET_RX,
	VDPASIM_NET_TX,
	VDPASIM_NET_CVQ,
	VDPASIM_NET_NVQS,
};

/*
 * A VMM that passes the data virtqueues through to its guest and shadows the
 * control virtqueue has the ring of the latter in memory that the guest's
 * virtqueues must not reach.
 */
enum {
	VDPASIM_NET_GROUP_DATA,
	VDPASIM_NET_GROUP_CTRL,
	VDPASIM_NET_NGROUPS,
};

#define VDPASIM_NET_NAS		2

#define VDPASIM_NET_FEATURES	(BIT_ULL(VIRTIO_F_ANY_LAYOUT) |	\
				 BIT_ULL(VIRTIO_F_VERSION_1) |		\
				 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |	\
				 BIT_ULL(VIRTIO_NET_F_MTU) |		\
				 BIT_ULL(VIRTIO_NET_F_MAC) |		\
				 BIT_ULL(VIRTIO_NET_F_STATUS) |		\
				 BIT_ULL(VIRTIO_NET_F_CTRL_VQ) |	\
				 BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR))

/*
 * Only offered when asked for at "vdpa dev add": QEMU silently doesn't isolate
 * the control virtqueue if a feature is offered that its shadow lacks.
 */
#define VDPASIM_NET_MORE_FEATURES	BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)

/* Frames that are processed in one round of work. */
#define VDPASIM_NET_BUDGET	64

/* Control commands that are processed in one round of work. */
#define VDPASIM_NET_CTRL_BUDGET	16

/* The largest frame, with the virtio-net header. */
#define VDPASIM_NET_FRAME_MAX	(sizeof(struct virtio_net_hdr_mrg_rxbuf) + \
				 VLAN_ETH_HLEN + ETH_MAX_MTU)

/*
 * The beginning of a frame that is read into the device's own memory: the
 * headers, which the driver can't change any more then, and all of a small
 * frame.
 */
#define VDPASIM_NET_HEAD	128

/**
 * struct vdpasim_net_stats - what has been counted since the device was added
 * @rx_packets: frames that the driver has received
 * @rx_bytes: bytes of these, without the virtio-net header
 * @rx_errors: frames lost because the buffer was too small, or not mapped
 * @rx_drops: frames lost because there was no buffer
 * @tx_packets: frames that the driver has sent, filtered ones included
 * @tx_bytes: bytes of these, without the virtio-net header
 * @tx_errors: buffers that weren't a frame, or weren't mapped
 * @tx_filtered: frames to another address
 * @commands: control commands that were answered
 * @successes: those that were carried out
 */
struct vdpasim_net_stats {
	u64 rx_packets;
	u64 rx_bytes;
	u64 rx_errors;
	u64 rx_drops;
	u64 tx_packets;
	u64 tx_bytes;
	u64 tx_errors;
	u64 tx_filtered;
	u64 commands;
	u64 successes;
};

/**
 * struct vdpasim_net - a simulated network device
 * @sim: the device
 * @added_mac: the address that it was created with
 * @default_mac: the address that it has after a reset
 * @mac: its address
 * @mtu: the largest payload of a frame
 * @stats: statistics
 * @head: the beginning of the frame that is being looped: the virtio-net
 *        header, the Ethernet header and more
 */
struct vdpasim_net {
	struct vdpasim sim;
	u8 added_mac[ETH_ALEN];
	u8 default_mac[ETH_ALEN];
	u8 mac[ETH_ALEN];
	u16 mtu;
	struct vdpasim_net_stats stats;
	u8 head[VDPASIM_NET_HEAD] __aligned(4);
};

static struct vdpasim_net *sim_to_net(struct vdpasim *sim)
{
	return container_of(sim, struct vdpasim_net, sim);
}

static size_t vdpasim_net_hdr_len(const struct vdpasim *sim)
{
	if (sim->features & BIT_ULL(VIRTIO_F_VERSION_1))
		return sizeof(struct virtio_net_hdr_mrg_rxbuf);

	return sizeof(struct virtio_net_hdr);
}

/*
 * Copy the frame that is being sent to a receive buffer: what is in net->head
 * from there, the rest from the driver's memory.  Returns false if that isn't
 * mapped as needed, or the buffer is too small.
 */
static bool vdpasim_net_copy(struct vdpasim_net *net, size_t len)
{
	struct vdpasim *sim = &net->sim;
	struct vdpasim_vq *rx = &sim->vqs[VDPASIM_NET_RX];
	struct vdpasim_vq *tx = &sim->vqs[VDPASIM_NET_TX];
	size_t head = min_t(size_t, len, sizeof(net->head));

	return vdpasim_vq_push(sim, rx, net->head, head) == head &&
		(len == head || vdpasim_vq_move(sim, tx, rx, head, len) == len);
}

/*
 * Deliver the frame that is being sent to the driver, or drop it if there is no
 * buffer or too small a one.  Returns false if it hasn't been dropped, but
 * should be tried again: the driver may add buffers once it is notified.
 */
static bool vdpasim_net_rx(struct vdpasim_net *net, size_t len)
{
	struct vdpasim *sim = &net->sim;
	struct vdpasim_vq *rx = &sim->vqs[VDPASIM_NET_RX];
	struct virtio_net_hdr_mrg_rxbuf *hdr = (void *)net->head;

	if (!vdpasim_vq_active(rx)) {
		net->stats.rx_drops++;
		return true;
	}
	if (!vdpasim_vq_get(sim, rx, NULL, &sim->wiov)) {
		if ((rx->completed || rx->nused) && !rx->broken)
			return false;
		net->stats.rx_drops++;
		return true;
	}

	/* No offload is negotiated, nor are buffers merged. */
	memset(&hdr->hdr, 0, sizeof(hdr->hdr));
	if (sim->features & BIT_ULL(VIRTIO_F_VERSION_1))
		hdr->num_buffers = cpu_to_vdpasim16(sim, 1);

	if (likely(vdpasim_net_copy(net, len))) {
		if (likely(vdpasim_vq_complete(sim, rx, len))) {
			net->stats.rx_packets++;
			net->stats.rx_bytes += len - vdpasim_net_hdr_len(sim);
			return true;
		}
	} else if (!rx->broken) {
		/* The buffer is for the next frame, which may be smaller. */
		vdpasim_vq_unget(rx);
	}
	/* What can't be read is an error of sending. */
	if (!sim->vqs[VDPASIM_NET_TX].broken)
		net->stats.rx_errors++;

	return true;
}

/*
 * Check the length of what the driver sent.  Without VIRTIO_NET_F_MTU the
 * driver doesn't know the MTU, so frames may have any size.
 */
static bool vdpasim_net_fits(const struct vdpasim_net *net, u64 len)
{
	const struct vdpasim *sim = &net->sim;
	size_t hdr_len = vdpasim_net_hdr_len(sim);
	const struct ethhdr *eth = (void *)net->head + hdr_len;
	size_t max;

	if (len < hdr_len + ETH_HLEN)
		return false;

	if (!(sim->features & BIT_ULL(VIRTIO_NET_F_MTU)))
		return len <= VDPASIM_NET_FRAME_MAX;

	max = hdr_len + ETH_HLEN + net->mtu;
	if (eth_type_vlan(eth->h_proto))
		max += VLAN_HLEN;

	return len <= max;
}

/* Check the frame's destination address. */
static bool vdpasim_net_accepts(const struct vdpasim_net *net)
{
	const struct vdpasim *sim = &net->sim;
	const struct ethhdr *eth = (void *)net->head + vdpasim_net_hdr_len(sim);

	return is_multicast_ether_addr(eth->h_dest) ||
		ether_addr_equal(eth->h_dest, net->mac);
}

/*
 * Loop one frame, with iommu_lock held.  Returns 1, 0 if there is none, or
 * -EAGAIN if the driver should be notified of the frames before first.
 */
static int vdpasim_net_frame(struct vdpasim_net *net)
{
	struct vdpasim *sim = &net->sim;
	struct vdpasim_vq *tx = &sim->vqs[VDPASIM_NET_TX];
	bool fits, accepted;
	u64 len;

	lockdep_assert_held(&sim->iommu_lock);

	if (!vdpasim_vq_get(sim, tx, &sim->riov, NULL))
		return 0;

	len = vdpasim_left(&sim->riov);
	if (unlikely(vdpasim_vq_pull(sim, tx, net->head,
				     sizeof(net->head)) < 0)) {
		net->stats.tx_errors++;
		return 0;
	}

	fits = vdpasim_net_fits(net, len);
	accepted = fits && vdpasim_net_accepts(net);
	if (accepted && !vdpasim_net_rx(net, len)) {
		vdpasim_vq_unget(tx);
		return -EAGAIN;
	}
	if (unlikely(tx->broken)) {
		net->stats.tx_errors++;
		return 0;
	}

	/* Frames that were dropped have been sent, too. */
	if (!vdpasim_vq_complete(sim, tx, 0))
		return 0;

	if (unlikely(!fits)) {
		net->stats.tx_errors++;
		return 1;
	}
	net->stats.tx_packets++;
	net->stats.tx_bytes += len - vdpasim_net_hdr_len(sim);
	if (!accepted)
		net->stats.tx_filtered++;

	return 1;
}

/**
 * struct vdpasim_net_cmd - a control command
 * @hdr: class and command
 * @mac: data of VIRTIO_NET_CTRL_MAC_ADDR_SET
 * @excess: if this is filled, the command is too long
 */
struct vdpasim_net_cmd {
	struct virtio_net_ctrl_hdr hdr;
	u8 mac[ETH_ALEN];
	u8 excess;
} __packed __aligned(2);

static bool vdpasim_net_cmd_ok(const struct vdpasim *sim,
			       const struct vdpasim_net_cmd *cmd, size_t len)
{
	return len == offsetof(struct vdpasim_net_cmd, excess) &&
		cmd->hdr.class == VIRTIO_NET_CTRL_MAC &&
		cmd->hdr.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET &&
		(sim->features & BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR)) &&
		is_valid_ether_addr(cmd->mac);
}

/* Carry out one command, with iommu_lock held.  False if there is none. */
static bool vdpasim_net_command(struct vdpasim_net *net)
{
	struct vdpasim *sim = &net->sim;
	struct vdpasim_vq *cvq = &sim->vqs[VDPASIM_NET_CVQ];
	struct vdpasim_net_cmd cmd;
	virtio_net_ctrl_ack ack;
	ssize_t len;

	lockdep_assert_held(&sim->iommu_lock);

	if (!vdpasim_vq_get(sim, cvq, &sim->riov, &sim->wiov))
		return false;

	len = vdpasim_vq_pull(sim, cvq, &cmd, sizeof(cmd));
	if (unlikely(len < 0))
		return false;

	/* A command whose answer can't be written must not have an effect. */
	ack = vdpasim_net_cmd_ok(sim, &cmd, len) ? VIRTIO_NET_OK :
						   VIRTIO_NET_ERR;
	len = vdpasim_vq_push(sim, cvq, &ack, sizeof(ack));
	if (unlikely(len < 0))
		return false;
	if (!vdpasim_vq_complete(sim, cvq, len) || !vdpasim_vq_publish(sim, cvq))
		return false;

	net->stats.commands++;
	if (len == sizeof(ack) && ack == VIRTIO_NET_OK) {
		net->stats.successes++;
		ether_addr_copy(net->mac, cmd.mac);
		sim->generation++;
	}

	return true;
}

static unsigned long vdpasim_net_ctrl_work(struct vdpasim *sim)
{
	struct vdpasim_vq *cvq = &sim->vqs[VDPASIM_NET_CVQ];
	bool more = true;
	unsigned int n;

	if (!(sim->features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ)) ||
	    !vdpasim_vq_active(cvq))
		return 0;

	for (n = 0; more && n < VDPASIM_NET_CTRL_BUDGET; n++) {
		spin_lock_irq(&sim->iommu_lock);
		more = vdpasim_net_command(sim_to_net(sim));
		spin_unlock_irq(&sim->iommu_lock);
	}

	vdpasim_vq_notify(sim, cvq);

	return more ? BIT(VDPASIM_NET_CVQ) : 0;
}

static unsigned long vdpasim_net_data_work(struct vdpasim *sim)
{
	struct vdpasim_vq *rx = &sim->vqs[VDPASIM_NET_RX];
	struct vdpasim_vq *tx = &sim->vqs[VDPASIM_NET_TX];
	unsigned int n;
	int ret = 1;

	if (!vdpasim_vq_active(tx))
		return 0;

	for (n = 0; ret > 0 && n < VDPASIM_NET_BUDGET; n++) {
		spin_lock_irq(&sim->iommu_lock);
		ret = vdpasim_net_frame(sim_to_net(sim));
		spin_unlock_irq(&sim->iommu_lock);
	}

	vdpasim_vq_notify(sim, tx);
	vdpasim_vq_notify(sim, rx);

	return ret ? BIT(VDPASIM_NET_TX) : 0;
}

static unsigned long vdpasim_net_work(struct vdpasim *sim, unsigned long vqs)
{
	unsigned long more = 0;

	if (vqs & BIT(VDPASIM_NET_CVQ))
		more |= vdpasim_net_ctrl_work(sim);

	/* Frames don't wait for receive buffers: a kick of RX starts nothing. */
	if (vqs & BIT(VDPASIM_NET_TX))
		more |= vdpasim_net_data_work(sim);

	return more;
}

static unsigned int vdpasim_net_get_vq_group(const struct vdpasim *sim,
					     u16 idx)
{
	return idx == VDPASIM_NET_CVQ ? VDPASIM_NET_GROUP_CTRL :
					VDPASIM_NET_GROUP_DATA;
}

static unsigned int vdpasim_net_get_vq_stats(const struct vdpasim *sim, u16 idx,
					     struct vdpa_vq_stat *stats)
{
	const struct vdpasim_net *net =
		container_of(sim, struct vdpasim_net, sim);
	const struct vdpasim_net_stats *s = &net->stats;
	unsigned int n = 0;

	switch (idx) {
	case VDPASIM_NET_RX:
		stats[n++] = (struct vdpa_vq_stat){ "packets", s->rx_packets };
		stats[n++] = (struct vdpa_vq_stat){ "bytes", s->rx_bytes };
		stats[n++] = (struct vdpa_vq_stat){ "errors", s->rx_errors };
		stats[n++] = (struct vdpa_vq_stat){ "drops", s->rx_drops };
		break;
	case VDPASIM_NET_TX:
		stats[n++] = (struct vdpa_vq_stat){ "packets", s->tx_packets };
		stats[n++] = (struct vdpa_vq_stat){ "bytes", s->tx_bytes };
		stats[n++] = (struct vdpa_vq_stat){ "errors", s->tx_errors };
		stats[n++] = (struct vdpa_vq_stat){ "filtered", s->tx_filtered };
		break;
	case VDPASIM_NET_CVQ:
		stats[n++] = (struct vdpa_vq_stat){ "commands", s->commands };
		stats[n++] = (struct vdpa_vq_stat){ "successes", s->successes };
		break;
	}

	return n;
}

static void vdpasim_net_reset(struct vdpasim *sim)
{
	struct vdpasim_net *net = sim_to_net(sim);

	ether_addr_copy(net->mac, net->default_mac);
}

static void vdpasim_net_close(struct vdpasim *sim)
{
	struct vdpasim_net *net = sim_to_net(sim);

	ether_addr_copy(net->default_mac, net->added_mac);
	ether_addr_copy(net->mac, net->added_mac);
}

static void vdpasim_net_get_config(struct vdpasim *sim, void *config)
{
	struct virtio_net_config *net_config = config;
	struct vdpasim_net *net = sim_to_net(sim);

	memcpy(net_config->mac, net->mac, ETH_ALEN);
	net_config->status = cpu_to_vdpasim16(sim, VIRTIO_NET_S_LINK_UP);
	net_config->mtu = cpu_to_vdpasim16(sim, net->mtu);
}

/*
 * The address is the only writable field.  VMMs that don't use the control
 * virtqueue for it write it here, and before a reset: so it outlives resets.
 */
static void vdpasim_net_set_config(struct vdpasim *sim, unsigned int offset,
				   const void *buf, unsigned int len)
{
	struct vdpasim_net *net = sim_to_net(sim);
	u8 mac[ETH_ALEN] __aligned(2);

	BUILD_BUG_ON(offsetof(struct virtio_net_config, mac));

	if ((sim->features & BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR)) ||
	    offset >= ETH_ALEN)
		return;

	ether_addr_copy(mac, net->mac);
	memcpy(mac + offset, buf, min_t(size_t, len, ETH_ALEN - offset));
	if (!is_valid_ether_addr(mac))
		return;
	ether_addr_copy(net->mac, mac);
	ether_addr_copy(net->default_mac, mac);
}

static int vdpasim_net_init(struct vdpasim *sim,
			    const struct vdpa_dev_set_config *config)
{
	struct vdpasim_net *net = sim_to_net(sim);

	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR))
		ether_addr_copy(net->added_mac, config->net.mac);
	else
		eth_random_addr(net->added_mac);
	vdpasim_net_close(sim);

	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU))
		net->mtu = config->net.mtu;
	else
		net->mtu = ETH_DATA_LEN;

	return 0;
}

static const struct vdpasim_class vdpasim_net_class = {
	.device_id	= VIRTIO_ID_NET,
	.features	= VDPASIM_NET_FEATURES,
	.config_size	= sizeof(struct virtio_net_config),
	.nvqs		= VDPASIM_NET_NVQS,
	.ngroups	= VDPASIM_NET_NGROUPS,
	.nas		= VDPASIM_NET_NAS,
	.size		= sizeof(struct vdpasim_net),
	.init		= vdpasim_net_init,
	.work		= vdpasim_net_work,
	.reset		= vdpasim_net_reset,
	.close		= vdpasim_net_close,
	.get_vq_group	= vdpasim_net_get_vq_group,
	.get_vq_stats	= vdpasim_net_get_vq_stats,
	.get_config	= vdpasim_net_get_config,
	.set_config	= vdpasim_net_set_config,
};

static struct vdpa_device *
vdpasim_net_dev_add(struct vdpa_mgmt_dev *mdev, const char *name,
		    const struct vdpa_dev_set_config *config,
		    struct netlink_ext_ack *extack)
{
	u64 features = config->device_features;

	if ((features & BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR)) &&
	    !(features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ))) {
		NL_SET_ERR_MSG_MOD(extack,
				   "VIRTIO_NET_F_CTRL_MAC_ADDR needs VIRTIO_NET_F_CTRL_VQ");
		return ERR_PTR(-EINVAL);
	}

	return vdpasim_create(&vdpasim_net_class, mdev, name, config, extack);
}

static const struct vdpa_mgmtdev_ops vdpasim_net_mgmtdev_ops = {
	.dev_add	= vdpasim_net_dev_add,
};

static const struct virtio_device_id vdpasim_net_id_table[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev vdpasim_net_mgmtdev = {
	.ops			= &vdpasim_net_mgmtdev_ops,
	.id_table		= vdpasim_net_id_table,
	.config_attr_mask	= BIT_ULL(VDPA_ATTR_DEV_FEATURES) |
				  BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR) |
				  BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU),
	.supported_features	= VDPASIM_NET_FEATURES |
				  VDPASIM_NET_MORE_FEATURES,
	.max_supported_vqs	= VDPASIM_NET_NVQS,
};

static int __init vdpasim_net_module_init(void)
{
	struct device *dev;
	int ret;

	dev = root_device_register("vdpasim_net");
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	vdpasim_net_mgmtdev.device = dev;
	ret = vdpa_mgmtdev_register(&vdpasim_net_mgmtdev);
	if (ret)
		root_device_unregister(dev);

	return ret;
}
module_init(vdpasim_net_module_init);

static void __exit vdpasim_net_module_exit(void)
{
	/* This also removes the devices. */
	vdpa_mgmtdev_unregister(&vdpasim_net_mgmtdev);
	root_device_unregister(vdpasim_net_mgmtdev.device);
}
module_exit(vdpasim_net_module_exit);

MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("vDPA network device simulator");
