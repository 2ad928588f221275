// SPDX-License-Identifier: GPL-2.0
/*
 * guest_stream IFACE: runs in the guest of migrate.sh, without an end. Sends numbered frames to the
 * interface's address and to everybody, a few ahead of what has come back, and prints twice a
 * second how many have been sent, how many of them came back, and how many came back twice, in the
 * wrong order, or not at all: a frame is lost when a later one has come back.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define PROTO	0x88b7
#define AHEAD	16

struct frame {
	struct ethhdr eth;
	uint32_t number;
	uint8_t pad[200];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTO) };
	uint32_t sent = 0, expected = 0, lost = 0, again = 0, wrong = 0;
	struct frame frame = { 0 }, in;
	struct ifreq ifr = { 0 };
	double next = now();
	uint8_t mac[ETH_ALEN];
	size_t i;
	int fd;

	if (argc != 2)
		return 2;
	fd = socket(AF_PACKET, SOCK_RAW, htons(PROTO));
	sll.sll_ifindex = if_nametoindex(argv[1]);
	strncpy(ifr.ifr_name, argv[1], IFNAMSIZ - 1);
	if (fd < 0 || bind(fd, (void *)&sll, sizeof(sll)) || ioctl(fd, SIOCGIFHWADDR, &ifr)) {
		perror("guest_stream");
		return 1;
	}
	memcpy(mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(frame.eth.h_source, mac, ETH_ALEN);
	frame.eth.h_proto = htons(PROTO);

	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);

		while (sent - expected < AHEAD) {
			if (sent % 2)
				memset(frame.eth.h_dest, 0xff, ETH_ALEN);
			else
				memcpy(frame.eth.h_dest, mac, ETH_ALEN);
			frame.number = sent;
			for (i = 0; i < sizeof(frame.pad); i++)
				frame.pad[i] = sent + i;
			if (send(fd, &frame, sizeof(frame), 0) != sizeof(frame))
				break;
			sent++;
		}
		if (now() >= next) {
			printf("stream: sent=%u back=%u lost=%u again=%u wrong=%u\n", sent,
			       expected - lost, lost, again, wrong);
			fflush(stdout);
			next = now() + 0.5;
		}
		if (poll(&pfd, 1, 500) <= 0)
			continue;
		if (recvfrom(fd, &in, sizeof(in), MSG_DONTWAIT, (void *)&from, &len) !=
		    sizeof(in) || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		for (i = 0; i < sizeof(in.pad) && in.pad[i] == (uint8_t)(in.number + i); i++)
			;
		if (i < sizeof(in.pad)) {
			wrong++;
		} else if ((int32_t)(in.number - expected) < 0) {
			again++;
		} else {
			lost += in.number - expected;
			expected = in.number + 1;
		}
		/* A guest that is emulated twice can't do more anyway. */
		usleep(1000);
	}
}
