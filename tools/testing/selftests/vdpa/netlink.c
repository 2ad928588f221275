// SPDX-License-Identifier: GPL-2.0
/*
 * The management interface: requests that the vdpa tool can't send.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pthread.h>
#include <linux/netlink.h>

#include "vdpa_util.h"
#include "harness.h"

#define STR(type, text)	{ type, text, sizeof(text) }
#define MGMTDEV		{ ATTR_MGMTDEV_DEV_NAME, mgmtdev_name(), strlen(mgmtdev_name()) + 1 }
#define NAME		STR(ATTR_DEV_NAME, TEST_DEV)

FIXTURE(nl) {
	char why[256];
	int others;
};

FIXTURE_SETUP(nl) {
	if (given_dev())
		SKIP(_exit(255), "needs to add devices");
	ASSERT_EQ(0, sim_load(false, 0));
	/* Without the management interface sim_add() does nothing and returns 0. */
	ASSERT_FALSE(sim_is_static());
	sim_del(TEST_DEV);
	self->others = vdpa_dump(CMD_DEV_GET);
	ASSERT_LE(0, self->others);
}

FIXTURE_TEARDOWN(nl) {
	sim_del(TEST_DEV);
}

static int dev_exists(void)
{
	return !access("/sys/bus/vdpa/devices/" TEST_DEV, F_OK);
}

TEST_F(nl, family)
{
	EXPECT_LT(0, vdpa_family());
}

TEST_F(nl, unknown_command)
{
	static const int cmds[] = { 0, 200, 255, CMD_MGMTDEV_NEW };
	size_t i;

	for (i = 0; i < ARRAY_LEN(cmds); i++)
		EXPECT_EQ(-EOPNOTSUPP, vdpa_request(cmds[i], 0, NULL, 0, NULL, 0));
}

/* A request without a required attribute: the error message names it. */
TEST_F(nl, missing)
{
	struct attr mgmtdev = MGMTDEV, name = NAME;
	const struct {
		int cmd;
		const struct attr *attr;
		const char *what;
	} missing[] = {
		{ CMD_DEV_NEW, NULL, "name" },
		{ CMD_DEV_NEW, &mgmtdev, "name" },
		{ CMD_DEV_NEW, &name, "management device" },
		{ CMD_DEV_DEL, NULL, "device" },
		{ CMD_DEV_GET, NULL, "device" },
		{ CMD_DEV_CONFIG_GET, NULL, "device" },
		{ CMD_MGMTDEV_GET, NULL, "management device" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(missing); i++) {
		EXPECT_EQ(-EINVAL, vdpa_request(missing[i].cmd, 0, missing[i].attr,
						missing[i].attr ? 1 : 0, self->why,
						sizeof(self->why)))
			TH_LOG("request %zu", i);
		EXPECT_NE(NULL, strstr(self->why, missing[i].what))
			TH_LOG("request %zu: no '%s' in '%s'", i, missing[i].what, self->why);
	}
	EXPECT_FALSE(dev_exists());
}

TEST_F(nl, not_there)
{
	struct attr name = NAME, mgmtdev = STR(ATTR_MGMTDEV_DEV_NAME, "nobody");
	struct attr add[] = { STR(ATTR_MGMTDEV_DEV_NAME, "nobody"), NAME };

	EXPECT_EQ(-ENODEV, vdpa_request(CMD_DEV_DEL, 0, &name, 1, self->why, sizeof(self->why)));
	EXPECT_NE('\0', self->why[0]);
	EXPECT_EQ(-ENODEV, vdpa_request(CMD_DEV_GET, 0, &name, 1, self->why, sizeof(self->why)));
	EXPECT_NE('\0', self->why[0]);
	EXPECT_EQ(-ENODEV, vdpa_request(CMD_DEV_CONFIG_GET, 0, &name, 1, self->why,
					sizeof(self->why)));
	EXPECT_NE('\0', self->why[0]);
	EXPECT_EQ(-ENODEV, vdpa_request(CMD_MGMTDEV_GET, 0, &mgmtdev, 1, self->why,
					sizeof(self->why)));
	EXPECT_NE('\0', self->why[0]);
	EXPECT_EQ(-ENODEV, vdpa_request(CMD_DEV_NEW, 0, add, 2, self->why, sizeof(self->why)));
	EXPECT_NE('\0', self->why[0]);
}

TEST_F(nl, duplicate)
{
	struct attr add[] = { MGMTDEV, NAME };

	ASSERT_EQ(0, vdpa_request(CMD_DEV_NEW, 0, add, 2, NULL, 0));
	EXPECT_EQ(-EEXIST, vdpa_request(CMD_DEV_NEW, 0, add, 2, self->why, sizeof(self->why)));
	EXPECT_NE('\0', self->why[0]);
	EXPECT_TRUE(dev_exists());
}

TEST_F(nl, bad_names)
{
	static char long_name[300], longer[65];
	const struct attr bad[] = {
		STR(ATTR_DEV_NAME, ""), STR(ATTR_DEV_NAME, "."), STR(ATTR_DEV_NAME, ".."),
		STR(ATTR_DEV_NAME, "a/b"), STR(ATTR_DEV_NAME, "/"), STR(ATTR_DEV_NAME, "a b"),
		STR(ATTR_DEV_NAME, "a\tb"), STR(ATTR_DEV_NAME, "a\nb"), STR(ATTR_DEV_NAME, "\x7f"),
		STR(ATTR_DEV_NAME, "\xc3\xa4"),
		{ ATTR_DEV_NAME, NULL, 0 },
		/* Without an end; with one. */
		{ ATTR_DEV_NAME, long_name, 63 }, { ATTR_DEV_NAME, long_name, sizeof(long_name) },
		STR(ATTR_DEV_NAME, longer),
	};
	size_t i;

	memset(long_name, 'x', sizeof(long_name) - 1);
	memset(longer, 'x', sizeof(longer) - 1);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		struct attr add[] = { MGMTDEV, bad[i] };
		int rc = vdpa_request(CMD_DEV_NEW, 0, add, 2, self->why, sizeof(self->why));

		EXPECT_TRUE(rc == -EINVAL || rc == -ERANGE || rc == -ENAMETOOLONG)
			TH_LOG("name %zu: %d", i, rc);
		EXPECT_EQ(self->others, vdpa_dump(CMD_DEV_GET))
			TH_LOG("name %zu", i);
		vdpa_request(CMD_DEV_DEL, 0, &bad[i], 1, NULL, 0);
	}
}

TEST_F(nl, odd_names)
{
	static const char * const odd[] = {
		"%s%n", "-", "a", "...", "~",
		"123456789012345678901234567890123456789012345678901234567890123",
	};
	size_t i;

	ONLY_FOR(sim_is_used(), "only the simulator has as many devices as are added");
	for (i = 0; i < ARRAY_LEN(odd); i++) {
		EXPECT_EQ(0, sim_add(odd[i], NULL, 0))
			TH_LOG("name '%s'", odd[i]);
		EXPECT_EQ(0, sim_del(odd[i]));
	}
}

/* Names of files that sysfs has in the directories where a device or a link to it appears. */
TEST_F(nl, names_of_sysfs)
{
	static const char * const taken[] = { "bind", "module", "unbind", "uevent" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(taken); i++) {
		EXPECT_GT(0, sim_add(taken[i], NULL, 0))
			TH_LOG("name '%s'", taken[i]);
		sim_del(taken[i]);
	}
}

/* Attributes that belong to other commands. */
TEST_F(nl, misplaced)
{
	const uint32_t id = 1;
	struct attr add[] = { MGMTDEV, NAME, { ATTR_DEV_ID, &id, sizeof(id) } };
	struct attr del[] = { NAME, { ATTR_NET_MACADDR, test_mac, ETH_ALEN } };

	EXPECT_EQ(-EINVAL, vdpa_request(CMD_DEV_NEW, 0, add, 3, NULL, 0));
	EXPECT_FALSE(dev_exists());
	ASSERT_EQ(0, vdpa_request(CMD_DEV_NEW, 0, add, 2, NULL, 0));
	EXPECT_EQ(-EINVAL, vdpa_request(CMD_DEV_DEL, 0, del, 2, NULL, 0));
	EXPECT_TRUE(dev_exists());
}

TEST_F(nl, bad_values)
{
	static const uint8_t zero[64], group_mac[ETH_ALEN] = { 1, 2, 3, 4, 5, 6 };
	const uint16_t small = 67, none = 0, one = 1, two = 2;
	/* Nothing else is wrong with it. */
	const uint64_t strange = 1ULL << 62 | CTRL_FEATURES;
	const struct attr bad[] = {
		{ ATTR_NET_MACADDR, test_mac, 5 }, { ATTR_NET_MACADDR, zero, 7 },
		{ ATTR_NET_MACADDR, zero, 0 }, { ATTR_NET_MACADDR, zero, 64 },
		{ ATTR_NET_MACADDR, zero, ETH_ALEN }, { ATTR_NET_MACADDR, group_mac, ETH_ALEN },
		{ ATTR_NET_MTU, &small, 1 }, { ATTR_NET_MTU, &small, 0 },
		{ ATTR_NET_MTU, &small, sizeof(small) }, { ATTR_NET_MTU, &none, sizeof(none) },
		{ ATTR_NET_MAX_VQP, &none, sizeof(none) }, { ATTR_NET_MAX_VQP, &two, sizeof(two) },
		{ ATTR_NET_MAX_VQP, &one, 1 },
		{ ATTR_DEV_FEATURES, &strange, sizeof(strange) }, { ATTR_DEV_FEATURES, &one, 2 },
	};
	size_t i;
	int rc;

	ONLY_FOR(sim_is_default(), "checks attributes of the simulator's network device");
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		struct attr add[] = { MGMTDEV, NAME, bad[i] };

		rc = vdpa_request(CMD_DEV_NEW, 0, add, 3, self->why, sizeof(self->why));
		EXPECT_GT(0, rc)
			TH_LOG("attribute %zu, of type %d", i, bad[i].type);
		EXPECT_FALSE(dev_exists());
		sim_del(TEST_DEV);
	}
}

TEST_F(nl, max_vqp)
{
	const uint16_t one = 1;
	struct attr add[] = { MGMTDEV, NAME, { ATTR_NET_MAX_VQP, &one, sizeof(one) } };

	ONLY_FOR(sim_is_default(), "checks attributes of the simulator's network device");
	EXPECT_EQ(0, vdpa_request(CMD_DEV_NEW, 0, add, 3, self->why, sizeof(self->why)))
		TH_LOG("%s", self->why);
}

/*
 * Every attribute of the family, and types that it doesn't have, in several lengths: alone, and
 * after the attributes that a command requires.
 */
TEST_F(nl, garbage)
{
	static uint8_t noise[128];
	const struct {
		int cmd, n;
		struct attr attr[2];
	} cmds[] = {
		{ CMD_MGMTDEV_GET, 1, { MGMTDEV } }, { CMD_DEV_NEW, 2, { MGMTDEV, NAME } },
		{ CMD_DEV_DEL, 1, { NAME } }, { CMD_DEV_GET, 1, { NAME } },
		{ CMD_DEV_CONFIG_GET, 1, { NAME } },
	};
	static const size_t lens[] = { 0, 1, 2, 6, 8, 128 };
	int type, k;
	size_t i, c;

	for (k = 0; k < 2; k++) {
		for (type = 0; type < 24; type++) {
			for (i = 0; i < ARRAY_LEN(lens); i++) {
				struct attr a[3];

				/* Numbers, and strings without an end; strings. */
				memset(noise, k ? 'a' : 0xff, sizeof(noise));
				if (k && lens[i])
					noise[lens[i] - 1] = '\0';
				for (c = 0; c < ARRAY_LEN(cmds); c++) {
					struct attr *last = &a[cmds[c].n];

					memcpy(a, cmds[c].attr, sizeof(cmds[c].attr));
					*last = (struct attr) { type, noise, lens[i] };
					vdpa_request(cmds[c].cmd, 0, a, cmds[c].n + 1, NULL, 0);
					/* So that the next one gets as far. */
					if (cmds[c].cmd == CMD_DEV_NEW)
						sim_del(TEST_DEV);
					vdpa_request(cmds[c].cmd, k ? 0 : NLM_F_DUMP, last, 1,
						     NULL, 0);
				}
			}
		}
	}
	sim_del(TEST_DEV);
	EXPECT_EQ(self->others, vdpa_dump(CMD_DEV_GET));
	EXPECT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
}

TEST_F(nl, needs_cap_net_admin)
{
	struct attr add[] = { MGMTDEV, NAME };
	int status = 0;
	pid_t pid;

	ASSERT_EQ(0, sim_add(TEST_DEV, test_mac, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct attr fresh[] = { MGMTDEV, STR(ATTR_DEV_NAME, "ksft1") };

		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(10);
		if (vdpa_request(CMD_DEV_NEW, 0, fresh, 2, NULL, 0) != -EPERM)
			_exit(1);
		if (vdpa_request(CMD_DEV_DEL, 0, &add[1], 1, NULL, 0) != -EPERM)
			_exit(2);
		/* Anyone may look at the devices. */
		if (vdpa_request(CMD_DEV_GET, 0, &add[1], 1, NULL, 0))
			_exit(3);
		if (vdpa_request(CMD_MGMTDEV_GET, 0, add, 1, NULL, 0))
			_exit(4);
		if (vdpa_request(CMD_DEV_CONFIG_GET, 0, &add[1], 1, NULL, 0))
			_exit(5);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(dev_exists());
}

/* More devices than fit into one message of a dump. */
TEST_F(nl, many_devices)
{
	char name[16];
	int i;

	ONLY_FOR(sim_is_used(), "only the simulator has as many devices as are added");
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "ksft-many%d", i);
		ASSERT_EQ(0, sim_add(name, NULL, 0));
	}
	EXPECT_EQ(self->others + 100, vdpa_dump(CMD_DEV_GET));
	EXPECT_EQ(self->others + 100, vdpa_dump(CMD_DEV_CONFIG_GET));
	EXPECT_LE(1, vdpa_dump(CMD_MGMTDEV_GET));
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "ksft-many%d", i);
		EXPECT_EQ(0, sim_del(name));
	}
}

static void *churn(void *arg)
{
	const char *name = arg;
	int i;

	for (i = 0; i < 60; i++) {
		sim_add(name, NULL, 0);
		sim_del(name);
	}

	return NULL;
}

TEST_F(nl, at_the_same_time)
{
	pthread_t t[4];
	int i;

	ONLY_FOR(sim_is_used(), "only the simulator has as many devices as are added");
	/* Two of them want the same name. */
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, churn, i < 2 ? "ksft-a" : i < 3 ?
					    "ksft-b" : TEST_DEV));
	for (i = 0; i < 60; i++) {
		vdpa_request(CMD_DEV_GET, NLM_F_DUMP, NULL, 0, NULL, 0);
		vdpa_request(CMD_DEV_CONFIG_GET, NLM_F_DUMP, NULL, 0, NULL, 0);
		vdpa_request(CMD_MGMTDEV_GET, NLM_F_DUMP, NULL, 0, NULL, 0);
	}
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(-ENODEV, sim_del("ksft-a"));
	EXPECT_EQ(-ENODEV, sim_del("ksft-b"));
}

TEST_HARNESS_MAIN
