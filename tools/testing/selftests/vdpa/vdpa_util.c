// SPDX-License-Identifier: GPL-2.0
/*
 * Shared by the vDPA tests: management of devices, messages, and the machine.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "vdpa_util.h"

uint8_t test_mac[ETH_ALEN] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
const uint8_t other_mac[ETH_ALEN] = { 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc };

int run(const char *fmt, ...)
{
	char cmd[512], quiet[560];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(quiet, sizeof(quiet), "( %s ) >/dev/null 2>&1", cmd);
	rc = system(quiet);

	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

void *memory_of_kind(size_t size, int flags, int advice, int fd)
{
	const size_t huge = 2 << 20;
	char *va = mmap(NULL, size + huge, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (va == MAP_FAILED)
		return va;
	va += -(uintptr_t)va & (huge - 1);
	va = mmap(va, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (va == MAP_FAILED)
		return va;
	if (advice && madvise(va, size, advice))
		return MAP_FAILED;
	memset(va, 1, size);

	return va;
}

long thp_kb(void)
{
	char line[256];
	long kb = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "AnonHugePages: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);

	return kb;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, buf, size - 1);
	if (len < 0)
		len = -errno;
	else
		buf[len] = '\0';
	close(fd);

	return len;
}

int shown_vq(const char *device, int idx, struct shown_vq *vq)
{
	char path[128], text[4096], *line = text;
	int len;

	snprintf(path, sizeof(path), "/sys/kernel/debug/vdpa/%s/virtqueues", device);
	len = read_file(path, text, sizeof(text));
	if (len < 0)
		return len;
	while ((line = strchr(line, '\n'))) {
		if (sscanf(++line, "%d %d %d %d %d %d %llu %llu", &vq->idx, &vq->size, &vq->avail,
			   &vq->used, &vq->ready, &vq->broken, &vq->kicks, &vq->callbacks) == 8 &&
		    vq->idx == idx)
			return 0;
	}

	return -ENOENT;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);

	return rc;
}

int memlock(unsigned long bytes)
{
	struct rlimit lim = { .rlim_cur = bytes, .rlim_max = bytes };
	struct rlimit old;

	if (!getrlimit(RLIMIT_MEMLOCK, &old) && old.rlim_max > bytes)
		lim.rlim_max = old.rlim_max;

	return setrlimit(RLIMIT_MEMLOCK, &lim) ? -errno : 0;
}

static long vmstat(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p ? atol(p + strlen(name)) : -1;
}

long pinned_pages(void)
{
	static char text[16384];
	long got, put;

	/* Adds the counters of each CPU to those that are shown. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	if (read_file("/proc/vmstat", text, sizeof(text)) < 0)
		return -1;
	got = vmstat(text, "nr_foll_pin_acquired ");
	put = vmstat(text, "nr_foll_pin_released ");

	return got < 0 || put < 0 ? -1 : got - put;
}

/* ---- generic netlink ---- */

static void put_attr(struct nlmsghdr *h, int type, const void *data, size_t len)
{
	struct nlattr *a = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + NLA_ALIGN(a->nla_len);
}

static const struct nlattr *find_attr(const void *p, int len, int type)
{
	const struct nlattr *a = p;

	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		len -= NLA_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
	}

	return NULL;
}

static void extack(const struct nlmsghdr *h, char *why, size_t size)
{
	const struct nlmsgerr *err = NLMSG_DATA(h);
	const struct nlattr *a;
	size_t off = sizeof(*err);

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		off += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	a = find_attr((const char *)err + off, NLMSG_PAYLOAD(h, off), NLMSGERR_ATTR_MSG);
	if (a)
		snprintf(why, size, "%.*s", (int)(a->nla_len - NLA_HDRLEN),
			 (const char *)a + NLA_HDRLEN);
}

/* Messages that answered this thread's last request, not counting acknowledgments. */
static __thread int answers;

/*
 * One request; @reply gets the first message of @type that comes back. Returns the error of the
 * acknowledgment.
 */
static int genl(int type, int cmd, int version, int flags, const struct attr *attrs, int n,
		void *reply, size_t reply_size, char *why, size_t why_size)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	struct timeval patience = { .tv_sec = 20 };
	union {
		struct nlmsghdr h;
		char bytes[16384];
	} buf = { { 0 } };
	struct nlmsghdr *h = &buf.h;
	struct genlmsghdr *g = NLMSG_DATA(h);
	int fd, i, len, one = 1, rc = -EPROTO;

	answers = 0;
	if (why_size)
		why[0] = '\0';
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));

	h->nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = 1;
	g->cmd = cmd;
	g->version = version;
	for (i = 0; i < n; i++)
		put_attr(h, attrs[i].type, attrs[i].data, attrs[i].len);

	if (sendto(fd, &buf, h->nlmsg_len, 0, (void *)&sa, sizeof(sa)) < 0) {
		rc = -errno;
		goto out;
	}
	for (;;) {
		len = recv(fd, &buf, sizeof(buf), 0);
		if (len < 0) {
			rc = -errno;
			goto out;
		}
		for (h = &buf.h; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
				rc = *(int *)NLMSG_DATA(h);
				if (why_size && h->nlmsg_type == NLMSG_ERROR)
					extack(h, why, why_size);
				goto out;
			}
			answers += h->nlmsg_type == type;
			if (h->nlmsg_type == type && reply) {
				memcpy(reply, h, h->nlmsg_len < reply_size ?
				       h->nlmsg_len : reply_size);
				reply = NULL;
			}
		}
	}
out:
	close(fd);
	return rc;
}

int vdpa_family(void)
{
	struct attr name = { CTRL_ATTR_FAMILY_NAME, "vdpa", sizeof("vdpa") };
	union {
		struct nlmsghdr h;
		char bytes[4096];
	} reply = { { 0 } };
	const struct nlattr *a;
	int rc;

	rc = genl(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0, &name, 1, &reply, sizeof(reply),
		  NULL, 0);
	if (rc)
		return rc;
	a = find_attr((char *)NLMSG_DATA(&reply.h) + GENL_HDRLEN,
		      NLMSG_PAYLOAD(&reply.h, GENL_HDRLEN), CTRL_ATTR_FAMILY_ID);

	return a ? *(uint16_t *)((char *)a + NLA_HDRLEN) : -ENOENT;
}

int vdpa_request(int cmd, int flags, const struct attr *attrs, int n, char *why, size_t len)
{
	int family = vdpa_family();

	if (family < 0)
		return family;
	return genl(family, cmd, 1, flags, attrs, n, NULL, 0, why, len);
}

int vdpa_ask(int cmd, const struct attr *attrs, int n, int type, void *value, size_t len)
{
	union {
		struct nlmsghdr h;
		char bytes[4096];
	} reply = { { 0 } };
	const struct nlattr *a;
	int rc;

	rc = genl(vdpa_family(), cmd, 1, 0, attrs, n, &reply, sizeof(reply), NULL, 0);
	if (rc)
		return rc;
	a = find_attr((char *)NLMSG_DATA(&reply.h) + GENL_HDRLEN,
		      NLMSG_PAYLOAD(&reply.h, GENL_HDRLEN), type);
	if (!a)
		return -ENOENT;
	if (a->nla_len - NLA_HDRLEN != (int)len)
		return -EMSGSIZE;
	memcpy(value, (const char *)a + NLA_HDRLEN, len);

	return 0;
}

int vdpa_stat(const char *dev, uint32_t queue, const char *name, uint64_t *value)
{
	const struct attr attrs[] = {
		{ ATTR_DEV_NAME, dev, strlen(dev) + 1 },
		{ ATTR_QUEUE_INDEX, &queue, sizeof(queue) },
	};
	union {
		struct nlmsghdr h;
		char bytes[4096];
	} reply = { { 0 } };
	const struct nlattr *a, *v;
	const char *end;
	int rc;

	rc = genl(vdpa_family(), CMD_DEV_VSTATS_GET, 1, 0, attrs, 2, &reply, sizeof(reply), NULL,
		  0);
	if (rc)
		return rc;
	a = (void *)((char *)NLMSG_DATA(&reply.h) + GENL_HDRLEN);
	end = reply.bytes + reply.h.nlmsg_len;
	/* Each name is followed by its value. */
	while ((a = find_attr((const char *)a, end - (const char *)a, ATTR_VENDOR_ATTR_NAME))) {
		const char *text = (const char *)a + NLA_HDRLEN;

		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
		v = find_attr((const char *)a, end - (const char *)a, ATTR_VENDOR_ATTR_VALUE);
		if (!v || v->nla_len != NLA_HDRLEN + sizeof(*value))
			return -EPROTO;
		if (!strcmp(text, name)) {
			memcpy(value, (const char *)v + NLA_HDRLEN, sizeof(*value));
			return 0;
		}
	}

	return -ENOENT;
}

int vdpa_dump(int cmd)
{
	int rc = vdpa_request(cmd, NLM_F_DUMP, NULL, 0, NULL, 0);

	return rc ? rc : answers;
}

/* ---- devices that are added and deleted, mostly the simulator's ---- */

const char *given_dev(void)
{
	return getenv("VDPA_DEVICE");
}

const char *sim_mgmtdev = "vdpasim_net";

const char *mgmtdev_name(void)
{
	return getenv("VDPA_MGMTDEV") ?: sim_mgmtdev;
}

/* The simulator's management device "vdpasim_CLASS" is in the module vdpa_sim_CLASS. */
static const char *sim_class(void)
{
	const char *name = mgmtdev_name();

	return !given_dev() && !strncmp(name, "vdpasim_", 8) ? name + 8 : NULL;
}

bool sim_is_used(void)
{
	return sim_class();
}

bool sim_is_default(void)
{
	return !given_dev() && !strcmp(mgmtdev_name(), sim_mgmtdev);
}

static bool mgmtdev_is_net(void)
{
	struct attr name = { ATTR_MGMTDEV_DEV_NAME, mgmtdev_name(), strlen(mgmtdev_name()) + 1 };
	uint64_t classes;

	if (!strcmp(mgmtdev_name(), "vdpasim_net"))
		return true;

	return !vdpa_ask(CMD_MGMTDEV_GET, &name, 1, ATTR_MGMTDEV_SUPPORTED_CLASSES, &classes,
			 sizeof(classes)) && (classes & 1ULL << VIRTIO_ID_NET);
}

static bool param_is(const char *name, int want)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), "/sys/module/vdpa_sim/parameters/%s", name);
	if (read_file(path, text, sizeof(text)) < 0)
		return want == 0;
	if (text[0] == 'Y' || text[0] == 'N')
		return (text[0] == 'Y') == want;

	return atoi(text) == want;
}

/* Runs modprobe only if needed: on a kernel with sanitizers that takes a second. */
static void load(const char *module)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	if (access(path, F_OK))
		run("modprobe %s", module);
}

int sim_unload_class(void)
{
	return run("modprobe -r vdpa_sim_%s", sim_class()) ? -EBUSY : 0;
}

void sim_unload(void)
{
	/* All that use the core. */
	run("modprobe -r vdpa_sim_net");
	run("modprobe -r vdpa_sim_blk");
	run("modprobe -r vdpa_sim");
}

bool sim_doorbell, sim_vq_groups;

int sim_load(bool batch_mapping, int num_as)
{
	char as[32] = "", module[64];

	load("vhost_vdpa");
	if (!sim_is_used())
		return batch_mapping || num_as || sim_doorbell || sim_vq_groups ? -EOPNOTSUPP : 0;
	if (!param_is("batch_mapping", batch_mapping) || !param_is("num_as", num_as) ||
	    !param_is("doorbell", sim_doorbell) || !param_is("vq_groups", sim_vq_groups))
		sim_unload();
	if (num_as)
		snprintf(as, sizeof(as), "num_as=%d", num_as);
	if (access("/sys/module/vdpa_sim", F_OK) &&
	    run("modprobe vdpa_sim batch_mapping=%d %s %s %s", batch_mapping, as,
		sim_doorbell ? "doorbell=1" : "", sim_vq_groups ? "vq_groups=1" : ""))
		return -ENODEV;
	/* Plain 5.10 has one module for both. */
	snprintf(module, sizeof(module), "vdpa_sim_%s", sim_class());
	load(module);

	return 0;
}

bool sim_is_static(void)
{
	return vdpa_family() == -ENOENT;
}

int sim_add(const char *name, const uint8_t *mac, uint16_t mtu)
{
	struct attr attrs[4] = {
		{ ATTR_MGMTDEV_DEV_NAME, mgmtdev_name(), strlen(mgmtdev_name()) + 1 },
		{ ATTR_DEV_NAME, name, strlen(name) + 1 },
	};
	int n = 2, rc;

	if (given_dev())
		return -EOPNOTSUPP;
	if (sim_is_static())
		return 0;
	if (mac && mgmtdev_is_net())
		attrs[n++] = (struct attr) { ATTR_NET_MACADDR, mac, ETH_ALEN };
	if (mtu && mgmtdev_is_net())
		attrs[n++] = (struct attr) { ATTR_NET_MTU, &mtu, sizeof(mtu) };

	rc = vdpa_request(CMD_DEV_NEW, 0, attrs, n, NULL, 0);
	/* A device in userspace has its address from its daemon. */
	if (rc == -EOPNOTSUPP && n > 2 && !sim_is_used())
		rc = vdpa_request(CMD_DEV_NEW, 0, attrs, 2, NULL, 0);

	return rc;
}

int sim_del(const char *name)
{
	struct attr attr = { ATTR_DEV_NAME, name, strlen(name) + 1 };

	if (given_dev() || sim_is_static())
		return 0;
	return vdpa_request(CMD_DEV_DEL, 0, &attr, 1, NULL, 0);
}

static int open_node(const char *sysdir, const char *node)
{
	char path[512], text[32];
	unsigned int major, minor;
	int fd, len;

	snprintf(path, sizeof(path), "/dev/%s", node);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return -errno;

	/* A machine without devtmpfs. */
	snprintf(path, sizeof(path), "%s/%s/dev", sysdir, node);
	len = read_file(path, text, sizeof(text));
	if (len < 0)
		return len;
	if (sscanf(text, "%u:%u", &major, &minor) != 2)
		return -EINVAL;
	snprintf(path, sizeof(path), "/tmp/ksft-%s", node);
	unlink(path);
	if (mknod(path, S_IFCHR | 0600, makedev(major, minor)))
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vdpa_open(const char *name)
{
	char dir[300], node[256] = "";
	struct dirent *e;
	DIR *d;

	if (given_dev()) {
		int fd = open(given_dev(), O_RDWR | O_CLOEXEC);

		return fd < 0 ? -errno : fd;
	}

	snprintf(dir, sizeof(dir), "/sys/bus/vdpa/devices/%s",
		 sim_is_static() ? "vdpa0" : name);
	d = opendir(dir);
	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (!strncmp(e->d_name, "vhost-vdpa-", 11))
			snprintf(node, sizeof(node), "%s", e->d_name);
	closedir(d);

	return node[0] ? open_node(dir, node) : -ENXIO;
}

int test_dev(bool batch_mapping, int num_as)
{
	int rc;

	/* A test that failed may have left it. */
	if (!access("/sys/bus/vdpa/devices/" TEST_DEV, F_OK))
		sim_del(TEST_DEV);
	rc = sim_load(batch_mapping, num_as);
	if (!rc && !given_dev())
		rc = sim_add(TEST_DEV, test_mac, 0);
	if (!rc)
		rc = memlock(1UL << 30);

	return rc ? rc : vdpa_open(TEST_DEV);
}

void test_dev_end(int fd)
{
	if (fd >= 0)
		close(fd);
	sim_del(TEST_DEV);
}

/* ---- messages and ioctls ---- */

int send_raw(int fd, const void *msg, size_t size)
{
	return write(fd, msg, size) < 0 ? -errno : 0;
}

static struct vhost_iotlb_msg iotlb_msg(int type, uint64_t iova, uint64_t size, void *va, int perm)
{
	return (struct vhost_iotlb_msg) {
		.iova = iova,
		.size = size,
		.uaddr = (uintptr_t)va,
		.perm = perm,
		.type = type,
	};
}

int send_msg(int fd, uint32_t asid, int type, uint64_t iova, uint64_t size, void *va, int perm)
{
	struct msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.asid = asid,
		.iotlb = iotlb_msg(type, iova, size, va, perm),
	};

	return send_raw(fd, &msg, sizeof(msg));
}

int send_v1(int fd, int type, uint64_t iova, uint64_t size, void *va, int perm)
{
	struct vhost_msg msg = {
		.type = VHOST_IOTLB_MSG,
		.iotlb = iotlb_msg(type, iova, size, va, perm),
	};

	return send_raw(fd, &msg, sizeof(msg));
}

int map(int fd, uint32_t asid, uint64_t iova, uint64_t size, void *va, int perm)
{
	return send_msg(fd, asid, VHOST_IOTLB_UPDATE, iova, size, va, perm);
}

int unmap(int fd, uint32_t asid, uint64_t iova, uint64_t size)
{
	return send_msg(fd, asid, VHOST_IOTLB_INVALIDATE, iova, size, NULL, 0);
}

int io(int fd, unsigned long cmd, const void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

int vring_state(int fd, unsigned long cmd, unsigned int index, unsigned int num)
{
	struct vhost_vring_state s = { .index = index, .num = num };
	int rc = io(fd, cmd, &s);

	/* For those that ask: the answer is small, so it is not taken for an error. */
	if (!rc && (cmd == VHOST_GET_VRING_BASE || cmd == GET_VRING_GROUP ||
		    cmd == GET_VRING_SIZE))
		return s.num;
	return rc;
}

int bind_group(int fd, unsigned int group, unsigned int asid)
{
	return vring_state(fd, SET_GROUP_ASID, group, asid);
}

int set_status(int fd, uint8_t status)
{
	return io(fd, VHOST_VDPA_SET_STATUS, &status);
}

int get_status(int fd)
{
	uint8_t status = 0;
	int rc = io(fd, VHOST_VDPA_GET_STATUS, &status);

	return rc ? rc : status;
}

int set_features(int fd, uint64_t want)
{
	return io(fd, VHOST_SET_FEATURES, &want);
}

int area_alloc(struct area *a, uint64_t iova, size_t size)
{
	a->va = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->va == MAP_FAILED) {
		a->va = NULL;
		return -errno;
	}
	a->iova = iova;
	a->size = size;

	return 0;
}

void area_free(struct area *a)
{
	if (a->va)
		munmap(a->va, a->size);
	a->va = NULL;
}
