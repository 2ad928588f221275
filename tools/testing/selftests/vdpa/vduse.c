// SPDX-License-Identifier: GPL-2.0
/*
 * VDUSE: the ioctls of the control file and of a device, the requests and their answers, and what a
 * daemon can map of the memory that vhost-vdpa maps.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>

#include "vduse_util.h"
#include "harness.h"

#define IOVA		0x100000ULL
#define PAGE		4096ULL

/* ---- the uAPI ---- */

#define AT(off, type, member)	EXPECT_EQ(off, offsetof(struct type, member))

/* Programs that were built elsewhere rely on these. */
TEST(numbers_and_layouts)
{
	EXPECT_EQ(0x80088100, VDUSE_GET_API_VERSION);
	EXPECT_EQ(0x40088101, VDUSE_SET_API_VERSION);
	EXPECT_EQ(0x41508102, VDUSE_CREATE_DEV);
	EXPECT_EQ(0x41008103, VDUSE_DESTROY_DEV);
	EXPECT_EQ(0x80088104, VDUSE_GET_FEATURES);
	EXPECT_EQ(0x40088105, VDUSE_SET_FEATURES);
	EXPECT_EQ(0xc0208110, VDUSE_IOTLB_GET_FD);
	EXPECT_EQ(0x80088111, VDUSE_DEV_GET_FEATURES);
	EXPECT_EQ(0x40088112, VDUSE_DEV_SET_CONFIG);
	EXPECT_EQ(0x8113, VDUSE_DEV_INJECT_CONFIG_IRQ);
	EXPECT_EQ(0x40208114, VDUSE_VQ_SETUP);
	EXPECT_EQ(0xc0308115, VDUSE_VQ_GET_INFO);
	EXPECT_EQ(0x40088116, VDUSE_VQ_SETUP_KICKFD);
	EXPECT_EQ(0x40048117, VDUSE_VQ_INJECT_IRQ);
	EXPECT_EQ(0x40308118, VDUSE_IOTLB_REG_UMEM);
	EXPECT_EQ(0x40308119, VDUSE_IOTLB_DEREG_UMEM);
	EXPECT_EQ(0xc030811a, VDUSE_IOTLB_GET_INFO);
	EXPECT_EQ(0xc050811b, VDUSE_IOTLB_GET_FD2);

	AT(280, vduse_dev_config, ngroups);
	AT(284, vduse_dev_config, nas);
	AT(332, vduse_dev_config, config_size);
	AT(336, vduse_dev_config, config);
	AT(4, vduse_vq_config, max_size);
	AT(8, vduse_vq_config, group);
	AT(32, vduse_vq_info, split);
	AT(40, vduse_vq_info, ready);
	AT(24, vduse_iotlb_entry_v2, perm);
	AT(32, vduse_iotlb_entry_v2, asid);
	AT(24, vduse_iova_umem, asid);
	AT(16, vduse_iova_info, capability);
	AT(24, vduse_iova_info, asid);

	AT(24, vduse_dev_request, iova_v2);
	AT(16, vduse_iova_range_v2, asid);
	AT(4, vduse_vq_group_asid, asid);
	AT(4, vduse_vq_ready, ready);
	AT(4, vduse_vq_state, packed);
	AT(24, vduse_dev_response, vq_state);
	EXPECT_EQ(152, sizeof(struct vduse_dev_request));
	EXPECT_EQ(152, sizeof(struct vduse_dev_response));
	EXPECT_EQ(0, VDUSE_GET_VQ_STATE);
	EXPECT_EQ(1, VDUSE_SET_STATUS);
	EXPECT_EQ(2, VDUSE_UPDATE_IOTLB);
	EXPECT_EQ(3, VDUSE_SET_VQ_GROUP_ASID);
	EXPECT_EQ(4, VDUSE_SET_VQ_READY);
	EXPECT_EQ(5, VDUSE_SUSPEND);
}

/* Which driver binds is a matter of which is loaded. */
static void load(void)
{
	if (!access("/sys/module/virtio_vdpa", F_OK))
		run("modprobe -rq virtio_vdpa");
	if (access(VDUSE_CONTROL, F_OK))
		run("modprobe -q vduse");
}

/* ---- the control file ---- */

FIXTURE(control) {
	struct vduse v;
};

FIXTURE_SETUP(control) {
	int rc;

	load();
	rc = vduse_init(&self->v, -1);
	if (rc == -ENOENT)
		SKIP(_exit(255), "no module vduse");
	ASSERT_EQ(0, rc);
}

FIXTURE_TEARDOWN(control) {
	vduse_down(&self->v);
}

TEST_F(control, version)
{
	uint64_t version = 99;

	EXPECT_EQ(0, io(self->v.control, VDUSE_GET_API_VERSION, &version));
	EXPECT_EQ(1, version);
	version = 2;
	EXPECT_EQ(-EINVAL, io(self->v.control, VDUSE_SET_API_VERSION, &version));
	EXPECT_EQ(-EFAULT, io(self->v.control, VDUSE_SET_API_VERSION, NULL));
	version = 0;
	EXPECT_EQ(0, io(self->v.control, VDUSE_SET_API_VERSION, &version));
	version = 99;
	EXPECT_EQ(0, io(self->v.control, VDUSE_GET_API_VERSION, &version));
	EXPECT_EQ(0, version);
	EXPECT_EQ(-ENOTTY, io(self->v.control, _IO(VDUSE_BASE, 0x7f), NULL));
}

TEST_F(control, requests)
{
	uint64_t features = 0;

	EXPECT_EQ(0, io(self->v.control, VDUSE_GET_FEATURES, &features));
	EXPECT_EQ(3, features);
	features = 4;
	EXPECT_EQ(-EINVAL, io(self->v.control, VDUSE_SET_FEATURES, &features));
	features = 3;
	EXPECT_EQ(0, io(self->v.control, VDUSE_SET_FEATURES, &features));
	features = 0;
	EXPECT_EQ(0, io(self->v.control, VDUSE_SET_API_VERSION, &features));
	features = 1;
	EXPECT_EQ(-EINVAL, io(self->v.control, VDUSE_SET_FEATURES, &features));
}

/* Without a version, and after a version has only been asked for. */
TEST_F(control, which_version)
{
	uint64_t version;

	/* 0: so there are no groups */
	self->v.config.ngroups = 1;
	self->v.config.nas = 1;
	EXPECT_EQ(-EINVAL, vduse_create(&self->v));

	EXPECT_EQ(0, io(self->v.control, VDUSE_GET_API_VERSION, &version));
	EXPECT_EQ(0, vduse_create(&self->v));
	EXPECT_EQ(0, io(self->v.control, VDUSE_DESTROY_DEV, self->v.config.name));

	self->v.config.ngroups = 0;
	EXPECT_EQ(-EINVAL, vduse_create(&self->v));
	self->v.config.nas = 0;
	EXPECT_EQ(0, vduse_create(&self->v));
}

/* Refused, and nothing is created. */
#define BAD(change) do {					\
	struct vduse was = self->v;				\
								\
	change;							\
	EXPECT_EQ(-EINVAL, vduse_create(&self->v));		\
	EXPECT_EQ(-EINVAL, io(self->v.control, VDUSE_DESTROY_DEV, self->v.config.name)); \
	self->v = was;						\
} while (0)

TEST_F(control, bad_devices)
{
	struct vduse_dev_config *c = &self->v.config;
	uint64_t version = 0;

	BAD(c->name[0] = '\0');
	BAD(strcpy(c->name, "."));
	BAD(strcpy(c->name, ".."));
	BAD(strcpy(c->name, "control"));
	BAD(strcpy(c->name, "a/b"));
	BAD(strcpy(c->name, "a!b"));
	BAD(strcpy(c->name, "a b"));
	BAD(strcpy(c->name, "a\nb"));
	BAD(strcpy(c->name, "\xc3\xa4"));
	BAD(c->device_id = 0);
	BAD(c->device_id = VIRTIO_ID_CONSOLE);
	BAD(c->features &= ~VF(VIRTIO_F_ACCESS_PLATFORM));
	BAD(c->features |= VF(VIRTIO_BLK_F_CONFIG_WCE));
	BAD(c->device_id = VIRTIO_ID_NET; c->features |= VF(VIRTIO_NET_F_CTRL_VQ));
	BAD(c->vq_num = 0);
	BAD(c->vq_num = 0x10000);
	BAD(c->vq_align = 0);
	BAD(c->vq_align = 3);
	BAD(c->vq_align = 8192);
	BAD(c->config_size = 0);
	BAD(c->config_size = 4097);
	BAD(c->ngroups = 1);
	BAD(c->nas = 1);
	BAD(c->reserved[0] = 1);
	BAD(c->reserved[10] = 1);
	/* Not terminated: the caller's next bytes aren't part of the name */
	memset(c->name, 'a', sizeof(c->name));
	EXPECT_EQ(-EINVAL, vduse_create(&self->v));
	strcpy(c->name, VDUSE_DEV);
	EXPECT_EQ(-EFAULT, io(self->v.control, VDUSE_CREATE_DEV, NULL));
	EXPECT_EQ(-EFAULT, io(self->v.control, VDUSE_DESTROY_DEV, NULL));

	version = 1;
	EXPECT_EQ(0, io(self->v.control, VDUSE_SET_API_VERSION, &version));
	c->ngroups = 1;
	c->nas = 1;
	BAD(c->ngroups = 0);
	BAD(c->nas = 0);
	BAD(c->ngroups = 1025);
	BAD(c->nas = 1025);
	BAD(c->nas = ~0U);
	BAD(c->reserved[0] = 1);
	c->ngroups = 1024;
	c->nas = 1024;
	EXPECT_EQ(0, vduse_create(&self->v));
}

#define BAD_BLK(bit, change) \
	BAD(c->features |= VF(VIRTIO_BLK_F_##bit); blk->blk_size = 512; change)

/* What virtio_blk would take for granted. */
TEST_F(control, bad_configurations)
{
	struct virtio_blk_config *blk = (void *)self->v.space;
	struct vduse_dev_config *c = &self->v.config;
	struct {
		struct vduse_config_data data;
		union {
			uint32_t blk_size;
			uint16_t num_queues;
		};
	} set = { .data.length = 4 };

	BAD(blk->capacity = ~0ULL);
	BAD(blk->capacity = 1ULL << 54);
	BAD_BLK(SEG_MAX, blk->seg_max = ~0U);
	BAD_BLK(SEG_MAX, blk->seg_max = 1025);
	BAD_BLK(BLK_SIZE, blk->blk_size = 0);
	BAD_BLK(BLK_SIZE, blk->blk_size = 256);
	BAD_BLK(BLK_SIZE, blk->blk_size = 513);
	BAD_BLK(BLK_SIZE, blk->blk_size = 8192);
	BAD_BLK(BLK_SIZE, c->config_size = 20);
	BAD_BLK(TOPOLOGY, blk->physical_block_exp = 17);
	BAD_BLK(TOPOLOGY, blk->opt_io_size = 0x20001);
	BAD_BLK(MQ, blk->num_queues = 0);
	BAD_BLK(MQ, blk->num_queues = 2);
	BAD_BLK(DISCARD, blk->discard_sector_alignment = 1 << 23);
	/* More than a request has */
	BAD_BLK(DISCARD, blk->max_discard_seg = 2);

	/* Nor later */
	c->features |= VF(VIRTIO_BLK_F_BLK_SIZE) | VF(VIRTIO_BLK_F_MQ) | VF(VIRTIO_BLK_F_SEG_MAX) |
		       VF(VIRTIO_BLK_F_TOPOLOGY) | VF(VIRTIO_BLK_F_DISCARD);
	blk->seg_max = 1024;
	blk->max_discard_seg = 1024;
	blk->opt_io_size = 0x4000;
	blk->blk_size = 512;
	blk->num_queues = 1;
	ASSERT_EQ(0, vduse_create(&self->v));
	ASSERT_EQ(0, vduse_open(&self->v));
	set.data.offset = offsetof(struct virtio_blk_config, blk_size);
	EXPECT_EQ(-EINVAL, io(self->v.fd, VDUSE_DEV_SET_CONFIG, &set));
	set.blk_size = 4096;
	EXPECT_EQ(0, io(self->v.fd, VDUSE_DEV_SET_CONFIG, &set));
	set.data.offset = offsetof(struct virtio_blk_config, num_queues);
	set.data.length = 2;
	set.num_queues = 0;
	EXPECT_EQ(-EINVAL, io(self->v.fd, VDUSE_DEV_SET_CONFIG, &set));
	set.num_queues = 1;
	EXPECT_EQ(0, io(self->v.fd, VDUSE_DEV_SET_CONFIG, &set));
}

TEST_F(control, lifetime)
{
	char why[200] = "";

	ASSERT_EQ(0, vduse_create(&self->v));
	EXPECT_EQ(-EEXIST, vduse_create(&self->v));
	ASSERT_EQ(0, vduse_open(&self->v));
	EXPECT_EQ(-EBUSY, vduse_open(&self->v));
	EXPECT_EQ(-EBUSY, io(self->v.control, VDUSE_DESTROY_DEV, self->v.config.name));

	EXPECT_EQ(-EINVAL, vduse_add("ksnone", why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, "daemon"));
	EXPECT_EQ(-EINVAL, vduse_add(VDUSE_DEV, why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, "virtqueues"));

	ASSERT_EQ(0, vduse_setup(&self->v));
	ASSERT_EQ(0, vduse_start(&self->v));
	ASSERT_EQ(0, vduse_add(VDUSE_DEV, why, sizeof(why)));
	EXPECT_EQ(-EEXIST, vduse_add(VDUSE_DEV, why, sizeof(why)));
	vduse_stop(&self->v);
	close(self->v.fd);
	self->v.fd = -1;
	EXPECT_EQ(-EBUSY, io(self->v.control, VDUSE_DESTROY_DEV, self->v.config.name));
	/* A module with devices can't be unloaded */
	EXPECT_NE(0, run("rmmod vduse"));
	ASSERT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_EQ(0, io(self->v.control, VDUSE_DESTROY_DEV, self->v.config.name));
	EXPECT_EQ(-EINVAL, io(self->v.control, VDUSE_DESTROY_DEV, self->v.config.name));
}

TEST_F(control, cvq_needs_its_group)
{
	uint64_t version = 1;
	char why[200] = "";

	ASSERT_EQ(0, io(self->v.control, VDUSE_SET_API_VERSION, &version));
	self->v.config.device_id = VIRTIO_ID_NET;
	self->v.config.features |= VF(VIRTIO_NET_F_CTRL_VQ);
	self->v.config.vq_num = 3;
	self->v.config.ngroups = 2;
	self->v.config.nas = 2;
	self->v.config.config_size = sizeof(struct virtio_net_config);
	EXPECT_EQ(-EINVAL, vduse_up(&self->v));
	EXPECT_EQ(-EINVAL, vduse_add(VDUSE_DEV, why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, "group"));
	self->v.groups[2] = 1;
	EXPECT_EQ(0, vduse_setup(&self->v));
	EXPECT_EQ(0, vduse_add(VDUSE_DEV, why, sizeof(why)));
}

/* ---- the file of a device ---- */

FIXTURE(device) {
	struct vduse v;
};

FIXTURE_VARIANT(device) {
	int version;
};

FIXTURE_VARIANT_ADD(device, version_0) {
	.version = 0,
};

FIXTURE_VARIANT_ADD(device, version_1) {
	.version = 1,
};

FIXTURE_SETUP(device) {
	load();
	ASSERT_EQ(0, vduse_init(&self->v, variant->version));
	self->v.config.vq_num = 2;
	ASSERT_EQ(0, vduse_create(&self->v));
	ASSERT_EQ(0, vduse_open(&self->v));
}

FIXTURE_TEARDOWN(device) {
	vduse_down(&self->v);
}

TEST_F(device, ioctls)
{
	struct {
		struct vduse_config_data data;
		uint8_t bytes[16];
	} config = { .data = { .length = 8 } };
	struct vduse_vq_eventfd kick = { .fd = -1 };
	struct vduse_vq_config vq = { .max_size = 64 };
	struct vduse_vq_info info = { .index = 1 };
	void *mem = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	struct vduse_iova_umem umem = { .uaddr = (uintptr_t)mem, .size = 64 << 20 };
	struct vduse_iova_info range = { .last = ~0ULL };
	struct vduse_iotlb_entry_v2 entry2;
	struct vduse_iotlb_entry entry;
	uint64_t features = 99;
	uint32_t index = 0;
	int fd = self->v.fd;

	EXPECT_EQ(-ENOTTY, io(fd, _IO(VDUSE_BASE, 0x7f), NULL));

	EXPECT_EQ(0, io(fd, VDUSE_DEV_GET_FEATURES, &features));
	EXPECT_EQ(0, features);

	EXPECT_EQ(0, io(fd, VDUSE_DEV_SET_CONFIG, &config));
	config.data.offset = self->v.config.config_size - 7;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_DEV_SET_CONFIG, &config));
	config.data.offset = ~0U;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_DEV_SET_CONFIG, &config));
	config.data.offset = 0;
	config.data.length = 0;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_DEV_SET_CONFIG, &config));

	/* The driver isn't there */
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL));
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_INJECT_IRQ, &index));
	index = 2;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_INJECT_IRQ, &index));

	EXPECT_EQ(0, io(fd, VDUSE_VQ_SETUP, &vq));
	vq.index = 2;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP, &vq));
	vq.index = ~0U;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP, &vq));
	vq.index = 0;
	vq.max_size = 0;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP, &vq));
	vq.max_size = 64;
	vq.group = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP, &vq));
	vq.group = 0;
	vq.reserved1 = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP, &vq));
	vq.reserved1 = 0;
	vq.reserved2[9] = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP, &vq));

	EXPECT_EQ(0, io(fd, VDUSE_VQ_GET_INFO, &info));
	EXPECT_EQ(0, info.num);
	EXPECT_EQ(0, info.ready);
	info.index = 2;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_GET_INFO, &info));
	EXPECT_EQ(-EFAULT, io(fd, VDUSE_VQ_GET_INFO, NULL));

	EXPECT_EQ(0, io(fd, VDUSE_VQ_SETUP_KICKFD, &kick));
	kick.fd = fd;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP_KICKFD, &kick));
	kick.fd = 12345;
	EXPECT_EQ(-EBADF, io(fd, VDUSE_VQ_SETUP_KICKFD, &kick));
	kick.index = 2;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_VQ_SETUP_KICKFD, &kick));

	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_GET_INFO, &range));
	ASSERT_EQ(0, memlock(1UL << 30));
	EXPECT_EQ(-ENOENT, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	munmap(mem, 64 << 20);
	EXPECT_EQ(-ENOENT, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 1, 0, &entry));
	EXPECT_EQ(variant->version ? -EINVAL : -ENOTTY,
		  vduse_get_fd2(&self->v, 0, 0, ~0ULL, &entry2));
	EXPECT_EQ(variant->version ? -EINVAL : -ENOTTY,
		  vduse_get_fd2(&self->v, ~0U, 0, ~0ULL, &entry2));
}

TEST_F(device, read_and_write)
{
	struct vduse_dev_response resp = { .request_id = 7 };
	struct vduse_dev_request req;
	struct pollfd pfd = { .fd = self->v.fd, .events = POLLIN | POLLOUT };

	EXPECT_EQ(0, poll(&pfd, 1, 0));
	EXPECT_EQ(-1, read(self->v.fd, &req, sizeof(req)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-1, read(self->v.fd, &req, sizeof(req) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->v.fd, &resp, sizeof(resp)));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, write(self->v.fd, &resp, sizeof(resp) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EFAULT, send_raw(self->v.fd, NULL, sizeof(resp)));
}

TEST_F(device, timeout_attribute)
{
	const char *path = "/sys/class/vduse/" VDUSE_DEV "/msg_timeout";
	char text[32] = "";

	EXPECT_LT(0, read_file(path, text, sizeof(text)));
	EXPECT_STREQ("30\n", text);
	EXPECT_NE(0, write_file(path, "0"));
	EXPECT_NE(0, write_file(path, "-1"));
	EXPECT_NE(0, write_file(path, "601"));
	EXPECT_NE(0, write_file(path, "x"));
	EXPECT_EQ(0, write_file(path, "5"));
	EXPECT_LT(0, read_file(path, text, sizeof(text)));
	EXPECT_STREQ("5\n", text);
}

/* ---- a network device for vhost-vdpa ---- */

FIXTURE(vhost) {
	struct vduse v;
	int fd;
	void *mem;
	long pinned;
};

FIXTURE_VARIANT(vhost) {
	int version;
};

FIXTURE_VARIANT_ADD(vhost, version_0) {
	.version = 0,
};

FIXTURE_VARIANT_ADD(vhost, version_1) {
	.version = 1,
};

#define SIZE		(16 * PAGE)

static int net_init(struct vduse *v, int version)
{
	uint64_t requests = 3;
	int rc;

	load();
	run("modprobe -q vhost_vdpa");
	rc = vduse_init(v, version);
	if (rc)
		return rc;
	v->config.device_id = VIRTIO_ID_NET;
	v->config.vq_num = 2;
	v->config.config_size = sizeof(struct virtio_net_config);
	if (version) {
		rc = io(v->control, VDUSE_SET_FEATURES, &requests);
		v->config.features |= VF(VIRTIO_NET_F_CTRL_VQ);
		v->config.vq_num = 3;
		v->config.ngroups = 2;
		v->config.nas = 3;
		v->groups[2] = 1;
	}

	return rc;
}

static int vhost_open(int *fd)
{
	uint64_t backend;
	int rc;

	*fd = vdpa_open(VDUSE_DEV);
	if (*fd < 0)
		return *fd;
	rc = io(*fd, VHOST_SET_OWNER, NULL);
	if (!rc)
		rc = io(*fd, VHOST_GET_BACKEND_FEATURES, &backend);
	if (!rc)
		rc = io(*fd, VHOST_SET_BACKEND_FEATURES, &backend);

	return rc;
}

FIXTURE_SETUP(vhost) {
	self->fd = -1;
	self->pinned = pinned_pages();
	ASSERT_EQ(0, net_init(&self->v, variant->version));
	ASSERT_EQ(0, vduse_up(&self->v));
	ASSERT_EQ(0, vhost_open(&self->fd));
	self->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(vhost) {
	if (self->fd >= 0)
		close(self->fd);
	vduse_down(&self->v);
	munmap(self->mem, SIZE);
	EXPECT_EQ(self->pinned, pinned_pages());
}

/* Up to FEATURES_OK. */
static int negotiate(int fd, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	int rc;

	rc = set_status(fd, status);
	if (!rc)
		rc = set_features(fd, features);
	if (!rc)
		rc = set_status(fd, status | VIRTIO_CONFIG_S_FEATURES_OK);

	return rc;
}

static int start(int fd, uint64_t features)
{
	int rc = negotiate(fd, features);

	return rc ? rc : set_status(fd, get_status(fd) | VIRTIO_CONFIG_S_DRIVER_OK);
}

TEST_F(vhost, requests)
{
	const struct vduse_dev_request *req;
	struct vduse_vq_info info = { 0 };
	uint64_t features = 0;
	int fd = self->fd;

	/* Opened: a reset */
	EXPECT_EQ(1, vduse_asked(&self->v, VDUSE_SET_STATUS));
	EXPECT_EQ(0, vduse_last(&self->v, VDUSE_SET_STATUS)->s.status);

	EXPECT_EQ(-EINVAL, set_features(fd, VF(VIRTIO_F_VERSION_1)));
	EXPECT_EQ(-EINVAL, set_features(fd, self->v.config.features | VF(VIRTIO_F_RING_PACKED)));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_NUM, 1, 32));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_BASE, 1, 0x1234));
	EXPECT_EQ(0, vring_state(fd, VHOST_VDPA_SET_VRING_ENABLE, 1, 1));
	EXPECT_EQ(0, start(fd, self->v.config.features));
	EXPECT_EQ(0xf, get_status(fd));
	EXPECT_EQ(0xf, vduse_last(&self->v, VDUSE_SET_STATUS)->s.status);
	EXPECT_EQ(0, io(self->v.fd, VDUSE_DEV_GET_FEATURES, &features));
	EXPECT_EQ(self->v.config.features, features);

	info.index = 1;
	EXPECT_EQ(0, io(self->v.fd, VDUSE_VQ_GET_INFO, &info));
	EXPECT_EQ(32, info.num);
	EXPECT_EQ(1, info.ready);

	self->v.state.split.avail_index = 0x77;
	EXPECT_EQ(0x77, vring_state(fd, VHOST_GET_VRING_BASE, 1, 0));
	EXPECT_EQ(1, vduse_last(&self->v, VDUSE_GET_VQ_STATE)->vq_state.index);

	if (variant->version) {
		req = vduse_last(&self->v, VDUSE_SET_VQ_READY);
		ASSERT_NE(NULL, req);
		EXPECT_EQ(1, req->vq_ready.num);
		EXPECT_EQ(1, req->vq_ready.ready);
		EXPECT_EQ(0, io(fd, SUSPEND, NULL));
		EXPECT_EQ(1, vduse_asked(&self->v, VDUSE_SUSPEND));
	} else {
		EXPECT_EQ(0, vduse_asked(&self->v, VDUSE_SET_VQ_READY));
		EXPECT_EQ(-EOPNOTSUPP, io(fd, SUSPEND, NULL));
	}

	EXPECT_EQ(0, set_status(fd, 0));
	EXPECT_EQ(0, vduse_last(&self->v, VDUSE_SET_STATUS)->s.status);
	EXPECT_EQ(0, io(self->v.fd, VDUSE_VQ_GET_INFO, &info));
	EXPECT_EQ(0, info.num);
	EXPECT_EQ(0, info.ready);
}

TEST_F(vhost, kicks_and_interrupts)
{
	struct vduse_vq_eventfd kickfd = { .fd = eventfd(0, EFD_NONBLOCK) };
	struct vhost_vring_file file = { .fd = eventfd(0, EFD_NONBLOCK) };
	int call = eventfd(0, EFD_NONBLOCK), fd = self->fd;
	struct pollfd pfd = { .fd = kickfd.fd, .events = POLLIN };
	uint32_t index = 0;
	uint64_t n;

	ASSERT_EQ(0, io(self->v.fd, VDUSE_VQ_SETUP_KICKFD, &kickfd));
	ASSERT_EQ(0, io(fd, VHOST_SET_VRING_KICK, &file));
	n = 1;
	/* Not ready: lost */
	ASSERT_EQ(8, write(file.fd, &n, 8));
	EXPECT_EQ(0, poll(&pfd, 1, SOON_MS));
	ASSERT_EQ(0, vring_state(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
	ASSERT_EQ(0, start(fd, self->v.config.features));
	n = 1;
	ASSERT_EQ(8, write(file.fd, &n, 8));
	EXPECT_EQ(1, poll(&pfd, 1, WAIT_MS));
	EXPECT_EQ(8, read(kickfd.fd, &n, 8));

	/* A kick isn't lost when the daemon sets its eventfd late */
	kickfd.fd = VDUSE_EVENTFD_DEASSIGN;
	ASSERT_EQ(0, io(self->v.fd, VDUSE_VQ_SETUP_KICKFD, &kickfd));
	n = 1;
	ASSERT_EQ(8, write(file.fd, &n, 8));
	EXPECT_EQ(0, poll(&pfd, 1, SOON_MS));
	kickfd.fd = pfd.fd;
	ASSERT_EQ(0, io(self->v.fd, VDUSE_VQ_SETUP_KICKFD, &kickfd));
	EXPECT_EQ(1, poll(&pfd, 1, WAIT_MS));

	close(file.fd);
	file.fd = call;
	ASSERT_EQ(0, io(fd, VHOST_SET_VRING_CALL, &file));
	ASSERT_EQ(0, io(self->v.fd, VDUSE_VQ_INJECT_IRQ, &index));
	EXPECT_EQ(8, read(call, &n, 8));
	ASSERT_EQ(0, io(fd, VHOST_VDPA_SET_CONFIG_CALL, &call));
	ASSERT_EQ(0, io(self->v.fd, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL));
	EXPECT_EQ(8, read(call, &n, 8));

	/* Suspended: neither */
	if (variant->version) {
		file.fd = eventfd(0, EFD_NONBLOCK);
		ASSERT_EQ(0, io(fd, VHOST_SET_VRING_KICK, &file));
		while (read(pfd.fd, &n, 8) == 8)
			;
		ASSERT_EQ(0, io(fd, SUSPEND, NULL));
		n = 1;
		ASSERT_EQ(8, write(file.fd, &n, 8));
		EXPECT_EQ(0, poll(&pfd, 1, SOON_MS));
		io(self->v.fd, VDUSE_VQ_INJECT_IRQ, &index);
		EXPECT_EQ(-1, read(call, &n, 8));
		close(file.fd);
	}

	ASSERT_EQ(0, set_status(fd, 0));
	EXPECT_EQ(-EINVAL, io(self->v.fd, VDUSE_VQ_INJECT_IRQ, &index));
	close(call);
	close(pfd.fd);
}

/*
 * What kicks the device also tells its daemon of kicks, so that each kick makes another one. That
 * goes on from a work, not in one go, and only until the virtqueue stops.
 */
TEST_F(vhost, one_eventfd_for_both_sides)
{
	const int both = eventfd(0, EFD_NONBLOCK), fd = self->fd;
	struct vduse_vq_eventfd kickfd = { .fd = both };
	struct vhost_vring_file file = { .fd = both };
	struct pollfd pfd = { .fd = both, .events = POLLIN };
	uint64_t n = 1;

	ASSERT_EQ(0, io(self->v.fd, VDUSE_VQ_SETUP_KICKFD, &kickfd));
	ASSERT_EQ(0, io(fd, VHOST_SET_VRING_KICK, &file));
	ASSERT_EQ(0, vring_state(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
	ASSERT_EQ(0, start(fd, self->v.config.features));
	ASSERT_EQ(8, write(both, &n, 8));
	ASSERT_EQ(8, read(both, &n, 8));
	EXPECT_EQ(1, poll(&pfd, 1, WAIT_MS));

	/* Others get their answers meanwhile */
	ASSERT_EQ(0, map(fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	ASSERT_EQ(0, unmap(fd, 0, IOVA, SIZE));
	ASSERT_EQ(0, set_status(fd, 0));
	/* One may be on its way */
	poll(&pfd, 1, SOON_MS);
	while (read(both, &n, 8) == 8)
		;
	EXPECT_EQ(0, poll(&pfd, 1, SOON_MS));
	close(both);
}

TEST_F(vhost, shared_memory)
{
	struct vduse_iova_info info = { .last = ~0ULL };
	struct vduse_iotlb_entry entry;
	const struct vduse_dev_request *req;
	char *va, *bad;
	int region;

	ASSERT_EQ(0, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	req = vduse_last(&self->v, VDUSE_UPDATE_IOTLB);
	ASSERT_NE(NULL, req);
	EXPECT_EQ(IOVA, req->iova.start);
	EXPECT_EQ(IOVA + SIZE - 1, req->iova.last);

	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, IOVA - 1, &entry));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, IOVA + SIZE, ~0ULL, &entry));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, IOVA + 2, IOVA + 1, &entry));
	EXPECT_EQ(0, io(self->v.fd, VDUSE_IOTLB_GET_INFO, &info));
	EXPECT_EQ(IOVA, info.start);
	EXPECT_EQ(IOVA + SIZE - 1, info.last);
	EXPECT_EQ(0, info.capability);
	region = vduse_get_fd(&self->v, IOVA + 5, ~0ULL, &entry);
	ASSERT_LE(0, region);
	EXPECT_EQ(FD_CLOEXEC, fcntl(region, F_GETFD));
	EXPECT_EQ(IOVA, entry.start);
	EXPECT_EQ(IOVA + SIZE - 1, entry.last);
	EXPECT_EQ(VDUSE_ACCESS_RW, entry.perm);

	va = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, region, entry.offset);
	ASSERT_NE(MAP_FAILED, va);
	strcpy(va + PAGE, "from the daemon");
	EXPECT_STREQ("from the daemon", (char *)self->mem + PAGE);
	strcpy(self->mem, "from the guest");
	EXPECT_STREQ("from the guest", va);
	munmap(va, SIZE);

	/* Nothing but the region */
	bad = mmap(NULL, SIZE + PAGE, PROT_READ, MAP_SHARED, region, entry.offset);
	EXPECT_EQ(MAP_FAILED, bad);
	bad = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset + SIZE);
	EXPECT_EQ(MAP_FAILED, bad);
	bad = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, region, entry.offset);
	EXPECT_EQ(MAP_FAILED, bad);
	EXPECT_EQ(-1, ftruncate(region, 0));
	EXPECT_EQ(-1, pwrite(region, "x", 1, 0));
	EXPECT_EQ(-1, pread(region, &entry, 1, 0));

	/* Not mapped any more: the old file is no use */
	ASSERT_EQ(0, unmap(self->fd, 0, IOVA, SIZE));
	EXPECT_EQ(2, vduse_asked(&self->v, VDUSE_UPDATE_IOTLB));
	bad = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset);
	EXPECT_EQ(MAP_FAILED, bad);
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
	close(region);
}

/*
 * A region doesn't begin where the file behind it does. The daemon sees nothing that is in front of
 * it, though libvduse maps from 0 on.
 */
TEST_F(vhost, part_of_a_file)
{
	struct vduse_iotlb_entry entry;
	char *mem = self->mem, *va;
	int region;

	strcpy(mem + 3 * PAGE, "in front");
	strcpy(mem + 4 * PAGE, "first");
	strcpy(mem + 5 * PAGE, "second");
	ASSERT_EQ(0, map(self->fd, 0, IOVA, 2 * PAGE, mem + 4 * PAGE, VHOST_ACCESS_RW));
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	ASSERT_LE(0, region);
	va = mmap(NULL, entry.offset + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_STREQ("first", va + entry.offset);
	EXPECT_STREQ("second", va + entry.offset + PAGE);
	munmap(va, entry.offset + 2 * PAGE);
	va = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset + PAGE);
	ASSERT_NE(MAP_FAILED, va);
	EXPECT_STREQ("second", va);
	munmap(va, PAGE);
	va = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset + 2 * PAGE);
	EXPECT_EQ(MAP_FAILED, va);
	va = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, region, entry.offset + PAGE);
	EXPECT_EQ(MAP_FAILED, va);
	va = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, 0x7ffffffffffff000);
	EXPECT_EQ(MAP_FAILED, va);
	close(region);
}

TEST_F(vhost, permissions)
{
	struct vduse_iotlb_entry entry;
	char *ro, *bad;
	int region;

	ASSERT_EQ(0, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RO));
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	ASSERT_LE(0, region);
	EXPECT_EQ(VDUSE_ACCESS_RO, entry.perm);
	bad = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, region, entry.offset);
	EXPECT_EQ(MAP_FAILED, bad);
	EXPECT_EQ(EACCES, errno);
	ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset);
	ASSERT_NE(MAP_FAILED, ro);
	EXPECT_EQ(-1, mprotect(ro, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	munmap(ro, PAGE);
	close(region);
	ASSERT_EQ(0, unmap(self->fd, 0, IOVA, SIZE));

	/* No more than the owner has */
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	EXPECT_EQ(0, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RO));
}

TEST_F(vhost, memory_that_cant_be_shared)
{
	void *priv = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int memfd = memfd_create("test", MFD_CLOEXEC);
	struct vduse_iotlb_entry entry;
	void *both, *copy;

	ASSERT_NE(MAP_FAILED, priv);
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, SIZE, priv, VHOST_ACCESS_RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, SIZE, priv, VHOST_ACCESS_RO));

	/* A private mapping of a file: what is written isn't in the file */
	ASSERT_EQ(0, ftruncate(memfd, SIZE));
	copy = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd, 0);
	ASSERT_NE(MAP_FAILED, copy);
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, SIZE, copy, VHOST_ACCESS_RW));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, SIZE, copy, VHOST_ACCESS_RO));

	/* Shared memory, and private memory right behind it */
	both = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, both);
	ASSERT_NE(MAP_FAILED, mmap(both, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				   memfd, 0));
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, 2 * SIZE, both, VHOST_ACCESS_RW));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
	EXPECT_EQ(0, vduse_asked(&self->v, VDUSE_UPDATE_IOTLB));

	/* Nothing there */
	munmap(both, 2 * SIZE);
	EXPECT_EQ(-EFAULT, map(self->fd, 0, IOVA, SIZE, both, VHOST_ACCESS_RW));
	munmap(copy, SIZE);
	munmap(priv, SIZE);
	close(memfd);
}

TEST_F(vhost, sealed)
{
	int memfd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vduse_iotlb_entry entry;
	int region;
	void *va;

	ASSERT_EQ(0, ftruncate(memfd, SIZE));
	va = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(MAP_FAILED, va);
	ASSERT_EQ(0, map(self->fd, 0, IOVA, SIZE, va, VHOST_ACCESS_RW));
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	ASSERT_LE(0, region);
	munmap(va, SIZE);
	/* The daemon could still map it */
	EXPECT_EQ(-1, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
	close(region);
	EXPECT_EQ(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, vduse_get_fd(&self->v, IOVA, IOVA, &entry));
	close(memfd);
}

/* Maps memory in each address space: their number, or 0. */
static int map_all(struct vduse *v, int fd, void *mem)
{
	int i, nas = v->config.nas ?: 1;

	for (i = 0; i < nas; i++)
		if (map(fd, i, IOVA, SIZE, mem, VHOST_ACCESS_RW))
			return 0;

	return nas;
}

/* How many address spaces have regions that the daemon finds. */
static unsigned int reachable(struct vduse *v)
{
	struct vduse_iotlb_entry_v2 entry2;
	struct vduse_iotlb_entry entry;
	unsigned int i, n = 0;
	int fd;

	for (i = 0; i < (v->config.nas ?: 1); i++) {
		fd = i ? vduse_get_fd2(v, i, 0, ~0ULL, &entry2) :
			 vduse_get_fd(v, 0, ~0ULL, &entry);
		n += fd != -EINVAL;
		if (fd >= 0)
			close(fd);
	}

	return n;
}

TEST_F(vhost, close_takes_mappings_away)
{
	int region, nas = map_all(&self->v, self->fd, self->mem);
	struct vduse_iotlb_entry entry;

	ASSERT_LT(0, nas);
	EXPECT_EQ(nas, reachable(&self->v));
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	ASSERT_LE(0, region);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, reachable(&self->v));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset));
	EXPECT_EQ(2 * nas, (int)vduse_asked(&self->v, VDUSE_UPDATE_IOTLB));
	close(region);
}

/* The file of vhost-vdpa is still open then. */
TEST_F(vhost, removal_takes_mappings_away)
{
	int region, nas = map_all(&self->v, self->fd, self->mem);
	struct vduse_iotlb_entry entry;

	ASSERT_LT(0, nas);
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	ASSERT_LE(0, region);
	ASSERT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_EQ(0, reachable(&self->v));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset));
	EXPECT_EQ(2 * nas, (int)vduse_asked(&self->v, VDUSE_UPDATE_IOTLB));
	/* Nor when it is on the bus again, and the old user still there */
	ASSERT_EQ(0, vduse_add(VDUSE_DEV, NULL, 0));
	EXPECT_EQ(0, reachable(&self->v));
	EXPECT_EQ(-ENODEV, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	close(region);
}

/* A mapping that stays is the same region for the daemon. */
TEST_F(vhost, others_stay)
{
	struct vduse_iotlb_entry entry;
	int region;
	void *va;

	ASSERT_EQ(0, map(self->fd, 0, IOVA, PAGE, self->mem, VHOST_ACCESS_RW));
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	ASSERT_LE(0, region);
	ASSERT_EQ(0, map(self->fd, 0, 2 * IOVA, PAGE, self->mem, VHOST_ACCESS_RW));
	ASSERT_EQ(0, unmap(self->fd, 0, 2 * IOVA, PAGE));
	EXPECT_EQ(2 * IOVA, vduse_last(&self->v, VDUSE_UPDATE_IOTLB)->iova.start);
	va = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, entry.offset);
	EXPECT_NE(MAP_FAILED, va);
	munmap(va, PAGE);
	close(region);
}

/* Memory for buffers, which nobody has here. In version 1, too, it is for address space 0. */
TEST_F(vhost, umem)
{
	const size_t size = 64 << 20;
	void *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vduse_iova_umem umem = { .uaddr = (uintptr_t)own, .size = size };
	int i, fd = self->v.fd;

	ASSERT_NE(MAP_FAILED, own);
	ASSERT_EQ(0, memlock(1UL << 30));
	umem.asid = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	umem.asid = 0;
	ASSERT_EQ(0, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	EXPECT_EQ(-EEXIST, io(fd, VDUSE_IOTLB_REG_UMEM, &umem));
	EXPECT_EQ(self->pinned + (long)(size / PAGE), pinned_pages());
	umem.asid = 1;
	EXPECT_EQ(-EINVAL, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	umem.asid = 0;
	EXPECT_EQ(0, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	EXPECT_EQ(-ENOENT, io(fd, VDUSE_IOTLB_DEREG_UMEM, &umem));
	/* By a work item */
	for (i = 0; i < WAIT_MS && pinned_pages() != self->pinned; i++)
		usleep(1000);
	EXPECT_EQ(self->pinned, pinned_pages());
	munmap(own, size);
}

/* ---- packed rings ---- */

FIXTURE(packed) {
	struct vduse v;
	int fd;
};

FIXTURE_SETUP(packed) {
	self->fd = -1;
	ASSERT_EQ(0, net_init(&self->v, 1));
	self->v.config.features |= VF(VIRTIO_F_RING_PACKED);
	ASSERT_EQ(0, vduse_up(&self->v));
	ASSERT_EQ(0, vhost_open(&self->fd));
}

FIXTURE_TEARDOWN(packed) {
	close(self->fd);
	vduse_down(&self->v);
}

/* The answer has 32 bits, so it can't be told from an error. */
static uint32_t base(int fd, unsigned int idx)
{
	struct vhost_vring_state s = { .index = idx };

	return io(fd, VHOST_GET_VRING_BASE, &s) ? 0xdead : s.num;
}

/* As vhost has it: indices in 15 bits, wrap counters above; used in the upper half. */
static uint32_t pack(const struct vduse_vq_state_packed *p)
{
	return p->last_avail_idx | p->last_avail_counter << 15 |
	       (uint32_t)p->last_used_idx << 16 | (uint32_t)p->last_used_counter << 31;
}

TEST_F(packed, state)
{
	static const uint32_t bases[] = {
		0, 0x80008000, 0x00058003, 0x7fffffff, 0x80000000, 0xffff0000, 0x0000ffff,
		0xffffffff,
	};
	struct vduse_vq_state_packed *p = &self->v.state.packed;
	uint64_t features = self->v.config.features;
	struct vduse_vq_info info = { .index = 1 };
	int fd = self->fd;
	size_t i;

	ASSERT_EQ(0, negotiate(fd, features));
	EXPECT_EQ(0x80008000, base(fd, 1));
	for (i = 0; i < ARRAY_LEN(bases); i++) {
		EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_BASE, 1, bases[i]));
		EXPECT_EQ(bases[i], base(fd, 1));
		EXPECT_EQ(0x80008000, base(fd, 0));
		EXPECT_EQ(0, io(self->v.fd, VDUSE_VQ_GET_INFO, &info));
		EXPECT_GE(0x7fff, info.packed.last_avail_idx);
		EXPECT_GE(1, info.packed.last_avail_counter);
		EXPECT_GE(0x7fff, info.packed.last_used_idx);
		EXPECT_GE(1, info.packed.last_used_counter);
		EXPECT_EQ(bases[i], pack(&info.packed));
	}
	EXPECT_EQ(0, vduse_asked(&self->v, VDUSE_GET_VQ_STATE));

	/* From now on the daemon knows */
	ASSERT_EQ(0, set_status(fd, 0xf));
	*p = (struct vduse_vq_state_packed) { 1, 0x123, 0, 0x7fff };
	EXPECT_EQ(0x7fff8123, base(fd, 1));
	EXPECT_EQ(1, vduse_asked(&self->v, VDUSE_GET_VQ_STATE));
	*p = (struct vduse_vq_state_packed) { 0, 0x7fff, 1, 0 };
	EXPECT_EQ(0x80007fff, base(fd, 1));
	/* Nothing of one field gets into another */
	*p = (struct vduse_vq_state_packed) { 0xfffe, 0xffff, 0xffff, 0x8001 };
	EXPECT_EQ(0x80017fff, base(fd, 1));

	/* A ring of the next driver is split, and starts at 0 */
	ASSERT_EQ(0, set_status(fd, 0));
	ASSERT_EQ(0, negotiate(fd, features & ~VF(VIRTIO_F_RING_PACKED)));
	EXPECT_EQ(0, base(fd, 1));
	EXPECT_EQ(-EINVAL, vring_state(fd, VHOST_SET_VRING_BASE, 1, 0x80008000));
	EXPECT_EQ(0, io(self->v.fd, VDUSE_VQ_GET_INFO, &info));
	EXPECT_EQ(0, info.split.avail_index);
	ASSERT_EQ(0, set_status(fd, 0xf));
	*p = (struct vduse_vq_state_packed) { 0 };
	self->v.state.split.avail_index = 0xfffe;
	EXPECT_EQ(0xfffe, base(fd, 1));
}

/* ---- configuration ---- */

/* @len bytes of a network device's status, from @off on; -1: an error. */
static int net_status(int fd, unsigned int off, unsigned int len)
{
	struct {
		uint32_t off, len;
		uint16_t status;
	} c = { offsetof(struct virtio_net_config, status) + off, len, 0 };

	return io(fd, VHOST_VDPA_GET_CONFIG, &c) ? -1 : c.status;
}

/* A driver sees VIRTIO_NET_S_ANNOUNCE if it has negotiated VIRTIO_NET_F_GUEST_ANNOUNCE. */
TEST_F(control, announcement)
{
	const uint64_t features = VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM) |
				  VF(VIRTIO_NET_F_STATUS) | VF(VIRTIO_NET_F_CTRL_VQ);
	struct virtio_net_config *config = (void *)self->v.space;
	uint64_t version = 1;
	int fd;

	run("modprobe -q vhost_vdpa");
	ASSERT_EQ(0, io(self->v.control, VDUSE_SET_API_VERSION, &version));
	self->v.config.device_id = VIRTIO_ID_NET;
	self->v.config.features = features | VF(VIRTIO_NET_F_GUEST_ANNOUNCE);
	self->v.config.vq_num = 3;
	self->v.config.ngroups = 2;
	self->v.config.nas = 2;
	self->v.config.config_size = sizeof(*config);
	self->v.groups[2] = 1;
	memset(config, 0xff, sizeof(*config));
	ASSERT_EQ(0, vduse_up(&self->v));
	ASSERT_EQ(0, vhost_open(&fd));

	EXPECT_EQ(0x0101, net_status(fd, 0, 2));
	ASSERT_EQ(0, negotiate(fd, features));
	EXPECT_EQ(0x0101, net_status(fd, 0, 2));
	EXPECT_EQ(1, net_status(fd, 0, 1));
	EXPECT_EQ(1, net_status(fd, 1, 1));
	EXPECT_EQ(0xff, net_status(fd, 2, 1));
	EXPECT_EQ(0xff, net_status(fd, -1, 1));
	ASSERT_EQ(0, set_status(fd, 0));
	ASSERT_EQ(0, negotiate(fd, features | VF(VIRTIO_NET_F_GUEST_ANNOUNCE)));
	EXPECT_EQ(0xffff, net_status(fd, 0, 2));
	close(fd);
}

/* ---- address spaces ---- */

TEST_F(vhost, address_spaces)
{
	struct vduse_iotlb_entry_v2 entry;
	const struct vduse_dev_request *req;
	int region, fd = self->fd;

	if (!variant->version) {
		EXPECT_NE(0, map(fd, 1, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
		/* The daemon doesn't know the request. */
		self->v.answer[VDUSE_SET_VQ_GROUP_ASID] = ANSWER_FAILED;
		EXPECT_EQ(0, bind_group(fd, 0, 0));
		EXPECT_EQ(-EINVAL, bind_group(fd, 0, 1));
		EXPECT_EQ(0, vduse_asked(&self->v, VDUSE_SET_VQ_GROUP_ASID));
		return;
	}

	EXPECT_EQ(0, vring_state(fd, GET_VRING_GROUP, 0, 0));
	EXPECT_EQ(1, vring_state(fd, GET_VRING_GROUP, 2, 0));
	ASSERT_EQ(0, bind_group(fd, 1, 2));
	req = vduse_last(&self->v, VDUSE_SET_VQ_GROUP_ASID);
	ASSERT_NE(NULL, req);
	EXPECT_EQ(1, req->vq_group_asid.group);
	EXPECT_EQ(2, req->vq_group_asid.asid);
	EXPECT_EQ(-EINVAL, bind_group(fd, 2, 0));
	EXPECT_EQ(-EINVAL, bind_group(fd, 0, 3));

	ASSERT_EQ(0, map(fd, 2, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	req = vduse_last(&self->v, VDUSE_UPDATE_IOTLB);
	EXPECT_EQ(2, req->iova_v2.asid);
	EXPECT_EQ(-EINVAL, vduse_get_fd2(&self->v, 0, 0, ~0ULL, &entry));
	EXPECT_EQ(-EINVAL, vduse_get_fd2(&self->v, 1, 0, ~0ULL, &entry));
	EXPECT_EQ(-EINVAL, vduse_get_fd2(&self->v, 3, 0, ~0ULL, &entry));
	EXPECT_EQ(-EINVAL, vduse_get_fd(&self->v, 0, ~0ULL, (void *)&entry));
	region = vduse_get_fd2(&self->v, 2, 0, ~0ULL, &entry);
	ASSERT_LE(0, region);
	EXPECT_EQ(IOVA, entry.start);
	close(region);

	memset(&entry, 0, sizeof(entry));
	entry.last = ~0ULL;
	entry.asid = 2;
	entry.padding[0] = 1;
	EXPECT_EQ(-EINVAL, io(self->v.fd, VDUSE_IOTLB_GET_FD2, &entry));
	entry.padding[0] = 0;
	entry.reserved[10] = 1;
	EXPECT_EQ(-EINVAL, io(self->v.fd, VDUSE_IOTLB_GET_FD2, &entry));
}

/* A program that asks for requests, but sets no version, gets version 0. */
TEST_F(control, no_requests_in_version_0)
{
	uint64_t features = 3;
	int fd = -1;

	run("modprobe -q vhost_vdpa");
	ASSERT_EQ(0, io(self->v.control, VDUSE_SET_FEATURES, &features));
	ASSERT_EQ(0, vduse_up(&self->v));
	ASSERT_EQ(0, vhost_open(&fd));
	EXPECT_EQ(0, vring_state(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
	EXPECT_EQ(0, start(fd, self->v.config.features));
	EXPECT_EQ(-EOPNOTSUPP, io(fd, SUSPEND, NULL));
	EXPECT_EQ(0, vduse_asked(&self->v, VDUSE_SET_VQ_READY));
	close(fd);
}

/* ---- files that are inherited, or passed on ---- */

/* Serves the device in another process, which has inherited the file. */
static pid_t fork_daemon(struct vduse *v)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	v->stop = 0;
	vduse_serve(v);
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* It isn't the process that is the daemon, but the file. */
TEST_F(vhost, forked)
{
	struct vduse_iotlb_entry entry;
	int region, fd;
	pid_t pid;

	vduse_stop(&self->v);
	pid = fork_daemon(&self->v);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, start(self->fd, self->v.config.features));
	EXPECT_EQ(0xf, get_status(self->fd));
	ASSERT_EQ(0, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	region = vduse_get_fd(&self->v, IOVA, IOVA, &entry);
	EXPECT_LE(0, region);
	close(region);

	/* The other one has it still */
	fd = self->v.fd;
	close(fd);
	EXPECT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(-EBUSY, vduse_open(&self->v));
	end(pid);
	EXPECT_EQ(0, vduse_open(&self->v));
	ASSERT_EQ(0, vduse_start(&self->v));
	EXPECT_EQ(0, start(self->fd, self->v.config.features));
}

/* This program again, as the daemon of a file that it has inherited. */
#define SERVE	"VDUSE_TEST_SERVE"

static void __attribute__((constructor)) serve_after_exec(void)
{
	static struct vduse v;

	if (!getenv(SERVE))
		return;
	v.fd = atoi(getenv(SERVE));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	vduse_serve(&v);
	_exit(0);
}

static pid_t exec_daemon(int fd, int flags)
{
	pid_t pid = fork();
	char text[16];

	if (pid)
		return pid;
	snprintf(text, sizeof(text), "%d", fd);
	fcntl(fd, F_SETFD, flags);
	setenv(SERVE, text, 1);
	execl("/proc/self/exe", "daemon", NULL);
	_exit(1);
}

TEST_F(vhost, executed)
{
	pid_t pid;
	int fd;

	vduse_stop(&self->v);
	pid = exec_daemon(self->v.fd, 0);
	ASSERT_LT(0, pid);
	fd = self->v.fd;
	close(fd);
	EXPECT_EQ(0, start(self->fd, self->v.config.features));
	EXPECT_EQ(0xf, get_status(self->fd));
	EXPECT_EQ(-EBUSY, vduse_open(&self->v));
	end(pid);

	/* With FD_CLOEXEC it is gone, though the process lives */
	ASSERT_EQ(0, vduse_open(&self->v));
	pid = exec_daemon(self->v.fd, FD_CLOEXEC);
	ASSERT_LT(0, pid);
	fd = self->v.fd;
	close(fd);
	for (fd = 0; fd < 1000 && vduse_open(&self->v) == -EBUSY; fd++)
		usleep(10000);
	EXPECT_GT(1000, fd);
	EXPECT_EQ(0, kill(pid, 0));
	end(pid);
	ASSERT_EQ(0, vduse_start(&self->v));
	EXPECT_EQ(0, set_status(self->fd, 0));
}

static int send_fd(int sock, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));

	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));

	return fd;
}

/* Writes to the memory that has been mapped, before it answers. */
static void on_map(struct vduse *v, const struct vduse_dev_request *req)
{
	char *va;

	if (req->type != VDUSE_UPDATE_IOTLB)
		return;
	va = vduse_map(v, IOVA, PAGE);
	if (va)
		snprintf(va, PAGE, "uid %d", getuid());
}

/* A process without privileges that is passed both files: what it can and can't do. */
static int unprivileged(int sock, const char *name, uint64_t want)
{
	static struct vduse v;
	uint64_t version = 99;

	v.control = receive_fd(sock);
	v.fd = receive_fd(sock);
	if (v.control < 0 || v.fd < 0)
		return 1;
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		return 2;
	if (open(VDUSE_CONTROL, O_RDWR) >= 0 || errno != EACCES)
		return 3;
	/* The version is the file's, not the process's */
	if (io(v.control, VDUSE_GET_API_VERSION, &version) || version != want)
		return 4;
	if (vduse_add(name, NULL, 0) != -EPERM || vduse_del(name) != -EPERM)
		return 5;
	/* It may create what takes memory, and destroy that */
	v.config.vq_num = 1;
	v.config.ngroups = want;
	v.config.nas = want;
	v.config.device_id = VIRTIO_ID_BLOCK;
	v.config.features = VF(VIRTIO_F_VERSION_1) | VF(VIRTIO_F_ACCESS_PLATFORM);
	v.config.vq_align = 4096;
	v.config.config_size = sizeof(struct virtio_blk_config);
	strcpy(v.config.name, "ksother");
	if (vduse_create(&v) || io(v.control, VDUSE_DESTROY_DEV, v.config.name))
		return 6;
	strcpy(v.config.name, name);
	if (io(v.control, VDUSE_DESTROY_DEV, v.config.name) != -EBUSY)
		return 7;
	v.hook = on_map;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (send(sock, "x", 1, 0) != 1)
		return 8;
	vduse_serve(&v);

	return 0;
}

TEST_F(vhost, passed_on)
{
	int sock[2], status, fd;
	char byte;
	pid_t pid;

	vduse_stop(&self->v);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = fork();
	if (!pid) {
		close(self->v.control);
		close(self->v.fd);
		close(self->fd);
		close(sock[0]);
		_exit(unprivileged(sock[1], self->v.config.name, variant->version));
	}
	close(sock[1]);
	ASSERT_EQ(0, send_fd(sock[0], self->v.control));
	ASSERT_EQ(0, send_fd(sock[0], self->v.fd));
	fd = self->v.fd;
	close(fd);
	if (recv(sock[0], &byte, 1, 0) != 1) {
		waitpid(pid, &status, 0);
		ASSERT_EQ(0, WEXITSTATUS(status));
	}
	EXPECT_EQ(0, start(self->fd, self->v.config.features));
	EXPECT_EQ(0, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	EXPECT_STREQ("uid 65534", (char *)self->mem);
	EXPECT_EQ(0, unmap(self->fd, 0, IOVA, SIZE));
	EXPECT_EQ(-EBUSY, vduse_open(&self->v));
	end(pid);

	/* A file that is on its way is open */
	ASSERT_EQ(0, vduse_open(&self->v));
	close(sock[0]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(0, send_fd(sock[0], self->v.fd));
	fd = self->v.fd;
	close(fd);
	EXPECT_EQ(-EBUSY, vduse_open(&self->v));
	close(sock[0]);
	close(sock[1]);
	EXPECT_EQ(0, vduse_open(&self->v));
	ASSERT_EQ(0, vduse_start(&self->v));
	EXPECT_EQ(0, set_status(self->fd, 0));
}

/* ---- a daemon that misbehaves ---- */

TEST_F(vhost, failed_answers)
{
	int fd = self->fd;

	self->v.answer[VDUSE_SET_STATUS] = ANSWER_FAILED;
	EXPECT_EQ(0, set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_EQ(0, get_status(fd));
	EXPECT_EQ(-EIO, set_status(fd, 0));
	self->v.answer[VDUSE_SET_STATUS] = ANSWER_OK;
	EXPECT_EQ(0, set_status(fd, 0));
	EXPECT_EQ(0, start(fd, self->v.config.features));

	self->v.answer[VDUSE_GET_VQ_STATE] = ANSWER_FAILED;
	EXPECT_EQ(-EIO, vring_state(fd, VHOST_GET_VRING_BASE, 0, 0));
	self->v.answer[VDUSE_UPDATE_IOTLB] = ANSWER_FAILED;
	EXPECT_NE(0, map(fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	self->v.answer[VDUSE_UPDATE_IOTLB] = ANSWER_OK;
	EXPECT_EQ(0, map(fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
}

static void timeout(const char *seconds)
{
	write_file("/sys/class/vduse/" VDUSE_DEV "/msg_timeout", seconds);
}

TEST_F(vhost, no_answer)
{
	struct pollfd pfd = { .fd = self->v.fd, .events = POLLIN };
	struct vduse_dev_response late = { 0 };
	struct vduse_iotlb_entry entry;
	double begin = now();
	int fd = self->fd;

	timeout("1");
	self->v.answer[VDUSE_SET_STATUS] = ANSWER_LATER;
	EXPECT_EQ(0, set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_LT(0.9, now() - begin);
	EXPECT_GT(10.0, now() - begin);
	EXPECT_EQ(VIRTIO_CONFIG_S_NEEDS_RESET, get_status(fd) & VIRTIO_CONFIG_S_NEEDS_RESET);

	/* From now on nothing waits */
	begin = now();
	EXPECT_EQ(-EIO, set_status(fd, 0));
	EXPECT_NE(0, map(fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	EXPECT_EQ(-EIO, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
	EXPECT_GT(0.9, now() - begin);
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLERR, pfd.revents & POLLERR);
	late.request_id = vduse_last(&self->v, VDUSE_SET_STATUS)->request_id;
	EXPECT_EQ(-1, write(self->v.fd, &late, sizeof(late)));
	EXPECT_EQ(ENOENT, errno);

	/* A new daemon, and a reset */
	vduse_stop(&self->v);
	close(self->v.fd);
	ASSERT_EQ(0, vduse_open(&self->v));
	ASSERT_EQ(0, vduse_setup(&self->v));
	self->v.answer[VDUSE_SET_STATUS] = ANSWER_OK;
	ASSERT_EQ(0, vduse_start(&self->v));
	EXPECT_EQ(0, set_status(fd, 0));
	EXPECT_EQ(0, start(fd, self->v.config.features));
	EXPECT_EQ(0xf, get_status(fd));
}

/* ---- each operation that waits for a daemon, if it is the first that isn't answered ---- */

FIXTURE(unanswered) {
	struct vduse v;
	int fd;
	void *mem;
};

FIXTURE_VARIANT(unanswered) {
	uint32_t type;
	int (*op)(struct _test_data_unanswered *self);
	int rc;
};

static int run_device(struct _test_data_unanswered *self)
{
	return start(self->fd, self->v.config.features);
}

static int close_vhost(struct _test_data_unanswered *self)
{
	int fd = self->fd;

	self->fd = -1;

	return close(fd);
}

/* UNANSWERED(NAME, TYPE, RC, EXPR): EXPR makes a request of TYPE; it is RC without an answer. */
#define UNANSWERED(name, msg, result, expr)					\
static int unanswered_##name(struct _test_data_unanswered *self)		\
{										\
	return expr;								\
}										\
FIXTURE_VARIANT_ADD(unanswered, name) {						\
	.type = VDUSE_##msg, .op = unanswered_##name, .rc = result,		\
}

UNANSWERED(map, UPDATE_IOTLB, -EFAULT,
	   map(self->fd, 0, 2 * IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
UNANSWERED(unmap, UPDATE_IOTLB, 0, unmap(self->fd, 0, IOVA, SIZE));
UNANSWERED(bind, SET_VQ_GROUP_ASID, -ETIMEDOUT, bind_group(self->fd, 1, 1));
UNANSWERED(ready, SET_VQ_READY, 0, vring_state(self->fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 1));
UNANSWERED(suspend, SUSPEND, -ETIMEDOUT, run_device(self) ?: io(self->fd, SUSPEND, NULL));
UNANSWERED(state, GET_VQ_STATE, -ETIMEDOUT,
	   run_device(self) ?: vring_state(self->fd, VHOST_GET_VRING_BASE, 0, 0));
UNANSWERED(close_reset, SET_STATUS, 0, close_vhost(self));
UNANSWERED(close_unmap, UPDATE_IOTLB, 0, close_vhost(self));

FIXTURE_SETUP(unanswered) {
	self->fd = -1;
	ASSERT_EQ(0, net_init(&self->v, 1));
	ASSERT_EQ(0, vduse_up(&self->v));
	ASSERT_EQ(0, vhost_open(&self->fd));
	self->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW));
	timeout("1");
	self->v.answer[variant->type] = ANSWER_LATER;
}

FIXTURE_TEARDOWN(unanswered) {
	if (self->fd >= 0)
		close(self->fd);
	vduse_down(&self->v);
	munmap(self->mem, SIZE);
}

TEST_F(unanswered, ends_in_time)
{
	unsigned int asked = vduse_asked(&self->v, variant->type);
	struct pollfd pfd = { .fd = self->v.fd, .events = POLLIN };
	struct vduse_iotlb_entry entry;
	double begin = now();

	EXPECT_EQ(variant->rc, variant->op(self));
	EXPECT_LT(0.9, now() - begin);
	EXPECT_GT(10.0, now() - begin);
	/* The others haven't been sent any more */
	EXPECT_EQ(asked + 1, vduse_asked(&self->v, variant->type));

	/* Broken: nothing waits, and nothing is reached */
	begin = now();
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLERR, pfd.revents & POLLERR);
	EXPECT_EQ(-EIO, vduse_get_fd(&self->v, 0, ~0ULL, &entry));
	if (self->fd < 0) {
		EXPECT_EQ(-EIO, vhost_open(&self->fd));
	} else {
		EXPECT_EQ(VIRTIO_CONFIG_S_NEEDS_RESET,
			  get_status(self->fd) & VIRTIO_CONFIG_S_NEEDS_RESET);
		EXPECT_EQ(-EIO, set_status(self->fd, 0));
	}
	EXPECT_GT(0.9, now() - begin);

	/* A new daemon, and a reset */
	vduse_stop(&self->v);
	close(self->v.fd);
	self->v.answer[variant->type] = ANSWER_OK;
	ASSERT_EQ(0, vduse_open(&self->v));
	ASSERT_EQ(0, vduse_start(&self->v));
	if (self->fd < 0)
		ASSERT_EQ(0, vhost_open(&self->fd));
	EXPECT_EQ(0, set_status(self->fd, 0));
	EXPECT_EQ(0, start(self->fd, self->v.config.features));
	EXPECT_EQ(0xf, get_status(self->fd));
}

TEST_F(vhost, wrong_answer)
{
	timeout("1");
	ASSERT_EQ(0, start(self->fd, self->v.config.features));
	/* Refused, so there is no answer */
	self->v.answer[VDUSE_GET_VQ_STATE] = ANSWER_WRONG;
	EXPECT_GT(0, vring_state(self->fd, VHOST_GET_VRING_BASE, 0, 0));
}

struct job {
	int fd;
	uint8_t status;
	int rc;
};

static void *do_status(void *arg)
{
	struct job *job = arg;

	job->rc = set_status(job->fd, job->status);

	return NULL;
}

/* What debugfs shows of a virtqueue, from its size on. */
static const char *virtqueue(int idx)
{
	static char text[128];
	struct shown_vq vq;
	int rc = shown_vq(VDUSE_DEV, idx, &vq);

	if (rc)
		return strerror(-rc);
	snprintf(text, sizeof(text), "%d %d %d %d %d %llu %llu", vq.size, vq.avail, vq.used,
		 vq.ready, vq.broken, vq.kicks, vq.callbacks);

	return text;
}

/* Sizes, and what the kernel knows of a virtqueue: without the daemon, which may be busy. */
TEST_F(vhost, virtqueues_are_shown)
{
	struct vhost_vring_file kick = { .index = 1, .fd = eventfd(0, EFD_NONBLOCK) };
	struct vhost_vring_file call = { .index = 1, .fd = eventfd(0, EFD_NONBLOCK) };
	struct job job = { .fd = self->fd, .rc = 1 };
	struct pollfd pfd = { .fd = self->v.fd, .events = POLLIN };
	int fd = self->fd;
	uint32_t index = 1;
	pthread_t thread;
	uint64_t n = 1;
	double begin;

	EXPECT_EQ(64, vring_state(fd, GET_VRING_SIZE, 1, 0));
	EXPECT_STREQ("64 0 0 0 0 0 0", virtqueue(0));
	EXPECT_STREQ("64 0 0 0 0 0 0", virtqueue(1));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_NUM, 1, 32));
	EXPECT_EQ(0, vring_state(fd, VHOST_SET_VRING_BASE, 1, 7));
	EXPECT_EQ(0, vring_state(fd, VHOST_VDPA_SET_VRING_ENABLE, 1, 1));
	ASSERT_EQ(0, io(fd, VHOST_SET_VRING_KICK, &kick));
	ASSERT_EQ(0, io(fd, VHOST_SET_VRING_CALL, &call));
	ASSERT_EQ(0, start(fd, self->v.config.features));
	ASSERT_EQ(8, write(kick.fd, &n, 8));
	ASSERT_EQ(8, write(kick.fd, &n, 8));
	ASSERT_EQ(0, io(self->v.fd, VDUSE_VQ_INJECT_IRQ, &index));
	/* Not ready: the driver isn't called back */
	index = 0;
	EXPECT_EQ(0, io(self->v.fd, VDUSE_VQ_INJECT_IRQ, &index));
	EXPECT_EQ(64, vring_state(fd, GET_VRING_SIZE, 0, 0));
	EXPECT_EQ(32, vring_state(fd, GET_VRING_SIZE, 1, 0));
	EXPECT_STREQ("64 0 0 0 0 0 0", virtqueue(0));
	EXPECT_STREQ("32 0 0 1 0 2 1", virtqueue(1));

	/* In a reset that isn't answered; what has been counted stays */
	vduse_stop(&self->v);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_status, &job));
	EXPECT_EQ(1, poll(&pfd, 1, WAIT_MS));
	begin = now();
	EXPECT_STREQ("64 0 0 0 0 0 0", virtqueue(0));
	EXPECT_STREQ("64 0 0 0 0 2 1", virtqueue(1));
	EXPECT_GT(5.0, now() - begin);
	ASSERT_EQ(0, vduse_start(&self->v));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, job.rc);
	EXPECT_EQ(64, vring_state(fd, GET_VRING_SIZE, 1, 0));

	/* Anew when it is added anew */
	close(fd);
	ASSERT_EQ(0, vduse_del(VDUSE_DEV));
	ASSERT_EQ(0, vduse_add(VDUSE_DEV, NULL, 0));
	EXPECT_STREQ("64 0 0 0 0 0 0", virtqueue(0));
	EXPECT_STREQ("64 0 0 0 0 0 0", virtqueue(1));
	ASSERT_EQ(0, vhost_open(&self->fd));
	close(kick.fd);
	close(call.fd);
}

/* What can't be copied to or from the daemon is as if it hadn't been tried. */
TEST_F(vhost, bad_buffers)
{
	struct job job = { .fd = self->fd, .status = VIRTIO_CONFIG_S_ACKNOWLEDGE, .rc = 1 };
	struct pollfd pfd = { .fd = self->v.fd, .events = POLLIN | POLLOUT };
	struct vduse_dev_response resp = { 0 };
	struct vduse_dev_request req;
	pthread_t thread;
	char *edge;

	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, edge);
	munmap(edge + PAGE, PAGE);
	edge += PAGE - 8;
	vduse_stop(&self->v);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_status, &job));
	EXPECT_EQ(1, poll(&pfd, 1, WAIT_MS));
	EXPECT_EQ(POLLIN, pfd.revents);
	EXPECT_EQ(-1, read(self->v.fd, edge, sizeof(req)));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLIN, pfd.revents);
	ASSERT_EQ(sizeof(req), read(self->v.fd, &req, sizeof(req)));
	EXPECT_EQ(VDUSE_SET_STATUS, req.type);
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLOUT, pfd.revents);
	memcpy(edge, &req.request_id, 4);
	EXPECT_EQ(-EFAULT, send_raw(self->v.fd, edge, sizeof(resp)));
	EXPECT_EQ(1, job.rc);
	resp.request_id = req.request_id;
	EXPECT_EQ(0, send_raw(self->v.fd, &resp, sizeof(resp)));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, job.rc);
	/* Answered once */
	EXPECT_EQ(-ENOENT, send_raw(self->v.fd, &resp, sizeof(resp)));
	ASSERT_EQ(0, vduse_start(&self->v));
}

/*
 * A caller of the kernel that is killed doesn't wait, and its request is withdrawn: there are never
 * more requests than callers.
 */
TEST_F(vhost, killed)
{
	struct pollfd pfd = { .fd = self->v.fd, .events = POLLIN };
	struct vduse_dev_response resp = { 0 };
	struct vduse_dev_request req;
	pid_t pids[16];
	double begin;
	int i, n = 0;

	vduse_stop(&self->v);
	for (i = 0; i < (int)ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				set_status(self->fd, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		}
	}
	ASSERT_EQ(1, poll(&pfd, 1, WAIT_MS));
	sleep(1);
	while (read(self->v.fd, &req, sizeof(req)) == sizeof(req))
		n++;
	EXPECT_LE(1, n);
	EXPECT_GE((int)ARRAY_LEN(pids), n);
	begin = now();
	for (i = 0; i < (int)ARRAY_LEN(pids); i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < (int)ARRAY_LEN(pids); i++)
		waitpid(pids[i], NULL, 0);
	EXPECT_GT(10.0, now() - begin);
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	resp.request_id = req.request_id;
	EXPECT_EQ(-ENOENT, send_raw(self->v.fd, &resp, sizeof(resp)));
	ASSERT_EQ(0, vduse_start(&self->v));
	EXPECT_EQ(0, set_status(self->fd, 0));
}

/* The request goes to the daemon that comes next. */
TEST_F(vhost, daemon_restarts)
{
	struct job job = { .fd = self->fd, .status = VIRTIO_CONFIG_S_ACKNOWLEDGE, .rc = 1 };
	pthread_t thread;

	self->v.answer[VDUSE_SET_STATUS] = ANSWER_LATER;
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_status, &job));
	while (vduse_asked(&self->v, VDUSE_SET_STATUS) < 2)
		usleep(1000);
	vduse_stop(&self->v);
	close(self->v.fd);
	ASSERT_EQ(0, vduse_open(&self->v));
	/* What is set up can't change while it is on the bus */
	ASSERT_EQ(0, vduse_setup(&self->v));
	self->v.vq_size = 32;
	EXPECT_EQ(-EBUSY, vduse_setup(&self->v));
	self->v.answer[VDUSE_SET_STATUS] = ANSWER_OK;
	ASSERT_EQ(0, vduse_start(&self->v));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, job.rc);
	EXPECT_EQ(VIRTIO_CONFIG_S_ACKNOWLEDGE, get_status(self->fd));
}

/* A daemon that doesn't answer blocks nobody else. */
TEST_F(vhost, removal)
{
	struct job job = { .fd = self->fd, .status = VIRTIO_CONFIG_S_ACKNOWLEDGE, .rc = 1 };
	double begin;
	pthread_t thread;

	self->v.answer[VDUSE_SET_STATUS] = ANSWER_LATER;
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_status, &job));
	while (vduse_asked(&self->v, VDUSE_SET_STATUS) < 2)
		usleep(1000);
	begin = now();
	EXPECT_LT(0, vdpa_dump(CMD_DEV_GET));
	EXPECT_LE(0, vdpa_dump(CMD_DEV_CONFIG_GET));
	EXPECT_GT(2.0, now() - begin);
	begin = now();
	EXPECT_EQ(0, vduse_del(VDUSE_DEV));
	EXPECT_GT(10.0, now() - begin);
	pthread_join(thread, NULL);
	EXPECT_EQ(-ENODEV, get_status(self->fd));
	/* And again, with the same daemon */
	self->v.answer[VDUSE_SET_STATUS] = ANSWER_OK;
	EXPECT_EQ(0, vduse_add(VDUSE_DEV, NULL, 0));
	close(self->fd);
	EXPECT_EQ(0, vhost_open(&self->fd));
}

static void *do_reset(void *arg)
{
	struct job *job = arg;

	while (!__atomic_load_n(&job->rc, __ATOMIC_RELAXED))
		set_status(job->fd, 0);

	return NULL;
}

/* Everything at the same time. */
TEST_F(vhost, races)
{
	struct job job = { .fd = self->fd };
	pthread_t thread;
	int i;

	timeout("1");
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_reset, &job));
	for (i = 0; i < 200; i++) {
		map(self->fd, 0, IOVA, SIZE, self->mem, VHOST_ACCESS_RW);
		munmap(vduse_map(&self->v, IOVA, PAGE) ?: self->mem + SIZE, 0);
		unmap(self->fd, 0, IOVA, SIZE);
		if (i % 50 == 49) {
			vduse_stop(&self->v);
			close(self->v.fd);
			ASSERT_EQ(0, vduse_open(&self->v));
			ASSERT_EQ(0, vduse_start(&self->v));
		}
	}
	vduse_del(VDUSE_DEV);
	__atomic_store_n(&job.rc, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

TEST_HARNESS_MAIN
