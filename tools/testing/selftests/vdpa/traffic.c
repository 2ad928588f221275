// SPDX-License-Identifier: GPL-2.0
/*
 * traffic SECONDS PREFIX: for that long, sends frames over each network interface that has an
 * address starting with PREFIX, to that address and to everybody. The interfaces may come and go.
 * Prints how many frames were sent and how many came back.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define PROTO	0x88b6
#define BURST	64

/* SIGTERM ends the program; it is blocked, so that the result can be printed. */
static int ended(void)
{
	sigset_t set;

	return !sigpending(&set) && sigismember(&set, SIGTERM);
}

static unsigned long burst(int fd, const struct sockaddr_ll *own)
{
	struct sockaddr_ll to = *own;
	uint8_t frame[ETH_HLEN + 1000] = { 0 };
	unsigned long sent = 0;
	int i;

	to.sll_protocol = htons(PROTO);
	memcpy(frame + ETH_ALEN, own->sll_addr, ETH_ALEN);
	frame[12] = PROTO >> 8;
	frame[13] = PROTO & 0xff;
	for (i = 0; i < BURST; i++) {
		if (i % 2)
			memset(frame, 0xff, ETH_ALEN);
		else
			memcpy(frame, own->sll_addr, ETH_ALEN);
		sent += sendto(fd, frame, sizeof(frame), MSG_DONTWAIT, (void *)&to,
			       sizeof(to)) == sizeof(frame);
	}

	return sent;
}

int main(int argc, char **argv)
{
	unsigned long sent = 0, back = 0;
	unsigned int prefix[3];
	sigset_t term;
	time_t until;
	int fd;

	if (argc != 3 || sscanf(argv[2], "%x:%x:%x", &prefix[0], &prefix[1], &prefix[2]) != 3)
		return 2;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	until = time(NULL) + atoi(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, htons(PROTO));
	if (fd < 0) {
		perror("traffic");
		return 1;
	}
	while (!ended() && time(NULL) < until) {
		struct ifaddrs *list = NULL, *a;
		struct sockaddr_ll from;
		uint8_t frame[2048];

		if (getifaddrs(&list))
			continue;
		for (a = list; a; a = a->ifa_next) {
			const struct sockaddr_ll *own = (void *)a->ifa_addr;

			if (own && own->sll_family == AF_PACKET && own->sll_halen == ETH_ALEN &&
			    own->sll_addr[0] == prefix[0] && own->sll_addr[1] == prefix[1] &&
			    own->sll_addr[2] == prefix[2])
				sent += burst(fd, own);
		}
		freeifaddrs(list);
		for (;;) {
			socklen_t len = sizeof(from);

			if (recvfrom(fd, frame, sizeof(frame), MSG_DONTWAIT, (void *)&from,
				     &len) < 0)
				break;
			back += from.sll_pkttype != PACKET_OUTGOING;
		}
	}
	printf("sent=%lu back=%lu\n", sent, back);

	return 0;
}
