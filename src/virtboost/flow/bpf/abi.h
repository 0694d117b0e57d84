/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane and its control plane share; virtboost/flow/abi.py says the same in Python.
 *
 * Bytes and words of headers are in network order, other numbers in the host's.
 */
#ifndef VIRTBOOST_ABI_H
#define VIRTBOOST_ABI_H

#include <linux/types.h>

/* Set in flow_key.vni of what came out of a VXLAN tunnel. */
#define FLOW_TUNNELLED 0x80000000

/* Set in flow_key.tag of a frame with a VLAN tag. */
#define FLOW_TAGGED 0x1000

#define FLOW_VXLAN_PORT 4789

/* What an entry is looked up by, always whole. */
struct flow_key {
	__u8 source[16]; /* IPv4: the first four bytes, then zeros */
	__u8 destination[16];
	__u32 port; /* ifindex that the frame came to */
	__u32 vni; /* with FLOW_TUNNELLED, or 0 */
	__u16 source_port; /* network order; ICMP echo: 0 */
	__u16 destination_port; /* network order; ICMP echo: type and code */
	__u16 tag; /* VLAN id with FLOW_TAGGED, or 0 */
	__u16 eth_type; /* network order */
	__u8 protocol;
	__u8 unused[7];
};

/* Other bits of headers, which an entry may guard; those of no tunnel are 0. */
struct flow_headers {
	__u8 eth_dst[6];
	__u8 eth_src[6];
	__u8 tpid[2]; /* of the VLAN tag, or 0 */
	__u8 tci[2];
	__u8 first[4]; /* first word of IP: tos; or tclass and label */
	__u8 ttl; /* or hop limit */
	__u8 unused;
	__u8 tcp_flags[2];
	__u8 outer_eth_dst[6];
	__u8 outer_eth_src[6];
	__u8 outer_first[4];
	__u8 outer_ttl;
	__u8 outer_unused;
	__u8 outer_source_port[2];
	__u8 outer_source[16];
	__u8 outer_destination[16];
	__u8 outer_more[4];
};

/* Words of 64 bits of flow_headers: all, and those before the tunnel's. */
#define FLOW_GUARD_WORDS 10
#define FLOW_INNER_WORDS 3

/* Changes of flow_entry.changes; outer headers go of every packet that came out of a tunnel. */
#define FLOW_POP_TAG 1
#define FLOW_PUSH_TAG 2
#define FLOW_DROP 4
#define FLOW_OBSERVE 8 /* count only: every packet passes */

/* Bytes of the longest outer header: Ethernet, IPv6, UDP, VXLAN. */
#define FLOW_PUSH_MAX 70

/* What is done to packets of a key, as long as epoch, lease, state and guards allow it. */
struct flow_entry {
	__u64 epoch; /* must be that of flow_control */
	__u64 lease_ns; /* CLOCK_MONOTONIC when it ends by itself */
	struct flow_headers guard;
	struct flow_headers guard_mask;
	__u32 slot; /* its own in the map states */
	__u32 peer; /* that of the other direction */
	__u32 output; /* ifindex */
	__u32 mtu; /* bytes that may leave behind the Ethernet header */
	__u16 changes;
	__u16 push_size; /* of push, 0 for none */
	__u16 push_sum; /* ones' complement sum of the outer IPv4 header without its length */
	__u16 ip_delta; /* what the sum of the IPv4 header grows by for its addresses */
	__u16 address_delta; /* the same of TCP and UDP, for addresses */
	__u16 port_delta; /* and for ports */
	__u16 source_port;
	__u16 destination_port;
	__u8 source[16]; /* addresses and ports that leave */
	__u8 destination[16];
	__u8 eth[12]; /* destination and source, bits outside eth_keep */
	__u8 eth_keep[12];
	__u8 first[4];
	__u8 first_keep[4];
	__u8 ttl;
	__u8 ttl_keep;
	__u8 tag[4]; /* type and TCI that are put on */
	__u8 push[FLOW_PUSH_MAX]; /* outer headers, the source port among them; lengths are 0 */
	__u32 punt; /* where it is not flow_state.punted, the next packet passes */
};

/* One element for all: a new epoch ends every entry at once, and so does the end of the lease. */
struct flow_control {
	__u64 epoch;
	__u64 lease_ns; /* CLOCK_MONOTONIC when the last check of everything is too old */
	__u64 clock_ns; /* of a build for tests: the time, unless it is 0 */
};

/* Of one entry, on all CPUs: packets of one flow come to one CPU as a rule. */
struct flow_state {
	__u64 packets;
	__u64 bytes; /* as they came, with Ethernet */
	__u64 used_ns; /* CLOCK_MONOTONIC of the last */
	__u32 tcp_flags; /* of all, united */
	__u32 closed; /* 1 since a FIN or RST of either direction */
	__u32 punted; /* flow_entry.punt that a packet passed for */
	__u32 unused;
};

/* A key whose packets find no entry: the first of some packet's headers, and how many there were. */
struct flow_candidate {
	struct flow_key key;
	struct flow_headers seen;
	__u64 packets;
};

/* Packets of a key without an entry when it is told first; then at every power of two. */
#define FLOW_CANDIDATE_PACKETS 8

/* In the count of a key without an entry: a FIN or RST came, and no SYN after it. */
#define FLOW_MISS_ENDED (1ULL << 63)

/* Why a packet goes on to Open vSwitch; the index of the map passes. */
enum flow_pass {
	FLOW_PASS_NOT_IP = 1, /* neither IPv4 nor IPv6 */
	FLOW_PASS_TAGS = 2, /* a second tag, one before a tunnel, or any in TC */
	FLOW_PASS_MALFORMED = 3, /* shorter than its headers say, or of no version */
	FLOW_PASS_OPTIONS = 4, /* IPv4 options or an IPv6 extension header */
	FLOW_PASS_FRAGMENT = 5,
	FLOW_PASS_TTL = 6, /* TTL or hop limit of 1 or 0 */
	FLOW_PASS_PROTOCOL = 7, /* neither TCP, UDP nor ICMP echo */
	FLOW_PASS_TUNNEL = 8, /* a VXLAN header with other bits, or an outer UDP checksum */
	FLOW_PASS_CHECKSUM = 9, /* of an IPv4 header, wrong; of UDP over IPv6, none */
	FLOW_PASS_NO_ENTRY = 10,
	FLOW_PASS_EPOCH = 11,
	FLOW_PASS_LEASE = 12,
	FLOW_PASS_CLOSED = 13, /* FIN or RST went before it */
	FLOW_PASS_CLOSING = 14, /* SYN, FIN or RST */
	FLOW_PASS_GUARD = 15,
	FLOW_PASS_LENGTH = 16, /* longer than the MTU of where it would leave */
	FLOW_PASS_SEGMENTS = 17, /* a GSO packet */
	FLOW_PASS_ROOM = 18, /* no headroom for an outer header, or a tag to put on in TC */
	FLOW_PASS_PUNT = 19, /* one now and then, which keeps what Open vSwitch knows alive */
	FLOW_PASS_OBSERVED = 20, /* would have been taken */
	FLOW_PASS_COUNT = 21,
};

#endif
