/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "daemon/command.h"
#include "daemon/log.h"
#include "model/gate.h"
#include "model/ovpnconf.h"
#include "model/wgconf.h"
#include "plan/plan.h"
#include "super/client.h"
#include "sys/loop.h"
#include "sys/nft.h"
#include "sys/rtnl.h"
#include "sys/sysctl.h"

#include <sys/types.h>

/*
 * The supervisor of one gate: one process, one thread, one loop.  Whatever
 * happens ends in reconcile(), which compares what the kernel has with the
 * plan and puts right what differs.
 */

struct supervisor;

/* Ports of the host that are bound so that nobody else can have them. */
struct port_hold {
	int *fds;
	size_t n, cap;
};

/* What an engine has furnished of one family: if it is gone, somebody has removed it. */
struct sandbox_had {
	int link; /* index of the one it is about */
	bool address, route; /* the default one, by that link */
};

/* One namespace with what we hold open in it. */
struct place {
	struct supervisor *sup;
	enum want_place kind;
	size_t room;
	const char *netns; /* below /run/netns; NULL for the host */
	int fd;
	struct rtnl *rtnl;
	struct rtnl_watch *watch;
	struct loop_source watch_source;
	struct nft *nft; /* NULL in rooms, which have no table */
	struct nft_watch *nft_watch;
	struct loop_source nft_source;
	char *nft_text; /* as applied last; NULL: not yet, or somebody changed it */
	bool made; /* by us, just now: nobody can have lived in it before */
	struct sysctl_dirs sysctls;
	bool locals_due; /* routes of the table `local` were taken: is one of ours missing? */
	bool had_sysctls; /* they were set once: a difference is somebody else's doing */
	struct port_hold held; /* a sandbox's; of our own rooms the supervisor holds them */
	struct plan_sandbox sandbox; /* as it was found */
	char sandbox_link[LINK_NAME_SIZE];
	int sandbox_peer; /* index there of the link that was found; 0: none */
	struct sandbox_watch *sandbox_watch; /* NULL: there is no namespace */
	struct sandbox_had sandbox_had4, sandbox_had6;
	bool sandbox_due; /* the engine was promised a link on the host, and has not taken it */
};

/* A directory of sysctls that is watched. */
struct files_kept {
	int fd, wd;
};

/* One instance of inotify(7), and the numbers of what it watches; -1: not watched. */
struct files_watch {
	struct loop_source source;
	int names[1 + GATE_ROOMS_MAX]; /* of the gate's namespace, and of its own rooms' */
	int etc, run;
	int lock; /* of iptables-legacy; there may be none yet */
	bool deaf; /* root's instances were used up, and that was said */
	struct files_kept kept[128];
	size_t n_kept;
	uint64_t directories; /* which they are; 0: none yet */
};

/* Rooms whose namespaces an engine makes: they come and go while the gate stands. */
struct sandboxes {
	struct arena arena; /* of rooms and ports as they were read last */
	size_t n_own_rooms, n_own_publish; /* of the configuration: they come first */
	struct room *own_rooms;
	struct publish *own_publish;
	bool changed; /* the plan follows: what differs is nobody else's doing */
};

/* A VPN gives one of each family, seldom more. */
#define DOOR_ADDRESSES_MAX 8

/* What a VPN's interface had when its client was connected (door_had.c). */
struct door_had {
	struct arena arena;
	struct snapshot net; /* the link, its addresses, and routes of main into it */
	int index; /* of the link; 0: nothing is known */
	int families; /* that it had addresses of: 1 IPv4, 2 IPv6 */
	bool due; /* to be noted as soon as the interface is there */
	bool failed; /* the last try to put it back */
	int64_t lost; /* since when, in ms, it has no address of such a family, or failed; 0: never */
};

/* One VPN door at work. doors[0] (lan) has only index and since. */
struct door_run {
	struct supervisor *sup;
	size_t index;
	const struct door *door;
	struct arena arena; /* of this start of the client */
	struct client client;
	struct loop_timer timer;
	int64_t look_due; /* when the timer is to fire */
	bool went_on; /* after it was stopped: it is asked whether it is still connected */
	int64_t since; /* wall clock, seconds: when it began to answer; 0 if it does not */

	const char *dir; /* /run/sallyport/NAME/DOOR: sockets of the client */
	const char *resolv_conf; /* for the client; NULL: a copy of the host's */
	pid_t pid; /* 0: not running */
	int pidfd;
	struct loop_source exited;
	struct loop_source output; /* the client's stdout and stderr */
	struct text line;
	pid_t resolver; /* child that resolves server names on the host; 0: none */
	struct loop_source resolved;
	struct text names; /* "address name" lines, as in /etc/hosts; kept for when none answers */
	bool names_kept; /* of the last answer, and that was told */
	struct text heard; /* the same, while they are asked for */
	struct loop_source management; /* openvpn(8)'s management interface */
	struct text management_line;
	struct text environment; /* "NAME=VALUE" lines, each behind a newline */
	struct text pushed; /* the line of its log that says so */
	struct loop_timer management_timer;
	int management_tries;

	struct ovpn_conf ovpn;
	struct wg_conf wg;
	bool wg_kernel;
	bool wg_configured;
	struct wg_heard wg_heard;
	struct wg_silence wg_silence; /* in arena */
	struct plan_server *servers; /* of a command door, in arena */
	size_t n_servers, cap_servers;

	char interface[LINK_NAME_SIZE]; /* "" while there is none */
	uint32_t mtu;
	bool no_ipv6; /* the interface carries none */
	struct text addresses; /* of the interface, blank-separated, for status */
	struct ip ips[DOOR_ADDRESSES_MAX]; /* the same for the plan */
	size_t n_ips;
	struct door_had had;
	struct ip *dns; /* name servers the VPN offers; malloc'ed */
	size_t n_dns;
	struct text search; /* domains it offers, each behind a blank */
};

/* What an interface of the host was called when it was seen last. */
struct before_link {
	int index;
	char name[LINK_NAME_SIZE];
};

/* Addresses that rooms had when the plan was carried out last (flows.c). */
struct room_at {
	uint64_t whose; /* hash of the room's namespace */
	struct ip ip;
};

struct rooms_at {
	struct room_at at[GATE_ROOMS_MAX * 4]; /* at most two of each family */
	size_t n;
};

struct supervisor {
	struct arena arena; /* as long as the supervisor */
	struct gate gate;
	struct loop loop;
	struct place host;
	struct place inner; /* the gate's namespace */
	struct place *rooms; /* of GATE_ROOMS_MAX */
	struct slot slot;
	bool slot_unknown; /* of links that a supervisor before us may have left */
	struct door_run *doors;
	bool ipv6;
	bool settled; /* the first reconcile is done: differences are repairs from now on */
	bool dirty;
	bool rested; /* what a reconcile() needed can be given back */
	bool facts_changed;
	const struct snapshot
		*seen; /* the host as a start has just seen it, until something changes */
	bool host_later; /* what a start has made on the host has not been looked at since */
	size_t claims_all; /* the VPN door that has main's default, as observed; 0 for none */
	bool trial; /* a throw-away gate: nobody comes in, only its client gets out */
	bool firewall_known; /* the host's other chains were looked at since they changed */
	uint64_t notrack_hash; /* of what was told of chains that keep ports from being tracked */
	bool before_known; /* likewise chain `before_NAME` */
	char *last_error; /* of reconcile(), so that it is said once */
	struct loop_timer lazy;
	struct loop_timer follow; /* of a start: flows_follow() */
	struct loop_timer rest; /* armed when something was done */
	int64_t sweep_ms; /* clock_ms() at which what nobody hears of is looked at next */
	bool routes4; /* somebody's will, as seen last (router.c) */
	bool loopback_is_still; /* by our doing: who switches IPv6 forwarding on is noticed */
	uint64_t facts_hash;
	bool sides_changed; /* plan/sides.c: likewise of the host */
	uint64_t sides_hash;
	struct plan_sysctl *before;
	size_t n_before, cap_before;
	size_t n_before_kept; /* so many of them are in the copy */
	struct before_link *before_links; /* malloc'ed */
	size_t n_before_links;
	bool before_links_changed; /* since they were written to the copy */
	uint64_t before_links_hash; /* of the copy */
	struct repairs repairs;
	struct ip *absent; /* malloc'ed; addresses that ports are published on and the host has not */
	size_t n_absent;
	int lock; /* the control socket, if it is bound already; -1 */
	struct loop_source control;
	struct loop_source children; /* SIGCHLD */
	struct files_watch files;
	struct port_hold held;
	struct sandboxes sandboxes;
	struct rooms_at outside, inside;
	uint64_t ports_hash; /* of where published ports lead */
	int64_t since;
	bool ready_said;
	struct loop_timer ready;
	bool ending; /* the loop goes on for the clients' farewell */
	int down_client; /* connection that waits for "done"; -1 */

	/* `run`: */
	const char *const *command;
	bool drop_user;
	uid_t uid;
	gid_t gid;
	const char *user;
	struct command child;
	int exit_status; /* of the supervisor as a process */
};

#define RUN_DIR "/run/sallyport"

/* daemon/log.c: "sallyport: office: ..." on stderr. */
void sup_log(const struct supervisor *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void sup_repaired(struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* daemon/place.c */
/* One that has nothing open. */
struct place place_none(struct supervisor *s, enum want_place kind, size_t room, const char *netns);
int place_open(struct place *p, struct supervisor *s, enum want_place kind, size_t room,
	       const char *netns, struct err *e) MUST_USE;
void place_close(struct place *p);
/* From now on a change of its links, addresses, routes or rules ends in reconcile(). */
int place_watch(struct place *p, struct err *e) MUST_USE;
/* What the kernel has told of it up to now, which place_watch() hears in its own time. */
void place_hear(struct place *p);
/* The same of its nftables; who has changed them since place_open() is noticed as well. */
int place_watch_nft(struct place *p, struct err *e) MUST_USE;
const char *place_nft_table(const struct place *p, struct arena *a);

/* daemon/place_set.c: makes a place what it should be. */
/* From @have, the place as it was a moment ago; taken when nothing is in it. */
int place_set_network(struct place *p, struct arena *a, const struct want *w, struct snapshot have,
		      size_t *ret_steps, struct err *e) MUST_USE;
int place_set_nft(struct place *p, struct arena *a, const struct want *w, struct err *e) MUST_USE;
int place_set_sysctls(struct place *p, struct arena *a, const struct want *w,
		      struct err *e) MUST_USE;
/* Would @x change something now?  Reads its value into @ret_now. */
bool place_sysctl_differs(struct place *p, struct arena *a, const struct want_sysctl *x,
			  const char **ret_now);
/* The host without other gates: rtnl_snapshot_near(). */
int sup_look_at_host(const struct supervisor *s, struct arena *a, uint32_t table_first,
		     uint32_t table_last, struct snapshot *ret, struct err *e) MUST_USE;
/* What @w, whose tables are known, is compared with. */
int place_snapshot(struct place *p, struct arena *a, const struct want *w, struct snapshot *ret,
		   struct err *e) MUST_USE;

/* daemon/reconcile.c */
int reconcile(struct supervisor *s, struct err *e) MUST_USE;
/* Something happened: look at it when all events at hand are delivered. */
void reconcile_soon(struct supervisor *s);
void reconcile_if_dirty(struct supervisor *s);
/* The same for what cannot have hurt us (a VPN client adds routes): in a moment. */
void reconcile_later(struct supervisor *s);
/* The plan of one place as it is now. */
void sup_want(struct supervisor *s, struct arena *a, const struct place *p,
	      const struct snapshot *host, struct want *ret);

/* daemon/router.c: whether the host is to be a router. */
/* Before the host is planned: what somebody wrote becomes what was before us (@ret_adopted). */
int router_look(struct supervisor *s, struct arena *a, bool *ret_adopted, struct err *e) MUST_USE;
/* After it was put in order. */
void router_note(struct supervisor *s, struct arena *a);

/* daemon/flows.c: after a change, nobody is led where a room was before it. */
int flows_follow(struct supervisor *s, struct err *e) MUST_USE;

/*
 * daemon/before.c: the host's sysctls as they were before us, of links by the names that
 * they have now.
 */
int before_read(struct nft *n, struct arena *a, const char *gate, struct plan_sysctl **ret,
		size_t *ret_n, struct err *e) MUST_USE;
/* Writes what could not be put back where before_read() finds it. */
int before_leave(struct arena *a, const char *gate, const struct plan_sysctl *items, size_t n,
		 struct err *e) MUST_USE;
/* Writes the copy that stands beside the table, if there is more to it now. */
int before_keep(struct supervisor *s, struct err *e) MUST_USE;
/*
 * Notes the values that the host has of the sysctls which @host would change, before
 * anything is written: the next plan has them in the nft table, and whoever takes us
 * away finds them there.
 */
void before_note(struct supervisor *s, struct arena *a, const struct want *host);
/*
 * Interfaces that are called otherwise since then: what theirs were is known by both names,
 * and the plan is to be made anew (true).
 */
bool before_follow(struct supervisor *s, struct arena *a, const struct snapshot *host);
/* Takes in what stands in the chain: ours from before a `kill -9`, or another gate's legacy. */
int before_merge(struct supervisor *s, struct arena *a, struct err *e) MUST_USE;
/* Would the host's plan @w change the chain? */
bool before_is_written(struct supervisor *s, struct arena *a, const struct want *w);

/* The chain alone, and of any table of family inet; nothing if there is none. */
int before_read_chain(struct nft *n, struct arena *a, const char *table, const char *chain,
		      struct plan_sysctl **ret, size_t *ret_n, struct err *e) MUST_USE;

/* daemon/firewall.c: other chains on the host that drop what is forwarded. */
/*
 * Makes them let ours through where there is a place for it (Docker's
 * DOCKER-USER), or fails naming the chain and the line to add.
 */
int firewall_open(struct supervisor *s, struct err *e) MUST_USE;
/* daemon/firewall_lets.c: does chain @c of the host's let through, by whatever rules it has,
   what this gate needs?  Errors of nft(8). */
int firewall_lets(const struct supervisor *s, const struct nft_chain *c, bool *ret,
		  struct err *e) MUST_USE;
/*
 * daemon/firewall_notrack.c: tells of chains of the host's that keep published ports
 * from being tracked, among @n, once for as long as they are the same.
 */
void firewall_notrack(struct supervisor *s, const struct nft_chain *chains, size_t n);

/* daemon/firewall_legacy.c: firewall_open() of iptables-legacy, where nothing can be added by us. */
int firewall_legacy(struct supervisor *s, struct err *e) MUST_USE;
int firewall_undo(struct nft *n, const char *gate, struct err *e) MUST_USE;

/* daemon/door.c */
/* From now on a client that is stopped by a signal, and goes on, is heard. */
int doors_watch(struct supervisor *s, struct err *e) MUST_USE;
void door_start(struct door_run *d);
void door_stop(struct door_run *d, bool hard);
void door_event(struct door_run *d, enum client_event event);
/* Does its VPN, and has it an interface? */
bool door_answers(const struct door_run *d);
/* Looks at the gate's links for the door's interface; true if anything changed. */
bool door_observe(struct door_run *d, const struct snapshot *gate);
/* Removes interfaces that clients have left in the gate, before any is started. */
int doors_clear(struct supervisor *s, struct err *e) MUST_USE;
/* Looks after the door when that is due, which may be sooner than it was. */
void door_look_soon(struct door_run *d);
/* The servers' names are resolved anew, for a client that runs and is about to look for them. */
void door_ask_names(struct door_run *d);
/* What it has said until now, before something else that it said later. */
void door_hear(struct door_run *d);
void door_note_dns(struct door_run *d, const struct ip *dns, size_t n);
void door_note_search(struct door_run *d, const char *domain);
void door_forget_dns(struct door_run *d);
int door_spawn(struct door_run *d, const char *const *argv, int pass_fd, struct err *e) MUST_USE;
const char *door_state_word(const struct door_run *d);

/* daemon/door_had.c: what somebody takes from a VPN's interface. */
/* Before door_observe(): puts it back; true if anything was done, so that @gate is old. */
bool door_had_look(struct door_run *d, const struct snapshot *gate);
/* After it. */
void door_had_note(struct door_run *d, const struct snapshot *gate);
void door_had_forget(struct door_run *d);
/* When the client is to be started again unless it sees to it itself, in ms; 0: never. */
int64_t door_had_deadline(const struct door_run *d);
/* What clients take away themselves is not put back. */
void doors_had_hear(struct supervisor *s, const struct rtnl_news *news);

struct door_ops {
	/* Reads the user's file; errors name it. Called before anything is changed. */
	int (*load)(struct door_run *d, struct err *e);
	/* Host names that must be resolved outside before the client starts. */
	size_t (*names)(struct door_run *d, const char ***ret);
	int (*start)(struct door_run *d, struct err *e);
	/* The interface came, or some time has passed while connecting or up. */
	void (*look)(struct door_run *d);
	void (*stop)(struct door_run *d); /* NULL: its end is enough */
	bool (*has_interface)(const struct door_run *d); /* NULL: its name tells */
	void (*heard)(struct door_run *d, const char *line); /* of its output; NULL: nothing */
	void (*named)(
		struct door_run *d); /* its servers' names anew, while it runs; NULL: nothing */
};
extern const struct door_ops door_openvpn, door_wireguard, door_command;
const struct door_ops *door_ops_of(const struct door *d);

/*
 * daemon/names.c: getaddrinfo(3) in a child on the host, so that it cannot hang us.
 * @names: what is asked for, or that and, behind a blank, what it is called in the answer.
 * @by: the servers to ask in place of resolv.conf(5)'s, or NULL.
 */
struct resolvconf_names;
int names_resolve(const char *const *names, size_t n, const struct resolvconf_names *by,
		  pid_t *ret_pid, int *ret_fd, struct err *e) MUST_USE;
/*
 * @names: lines "ADDRESS NAME"; those of @heard take their place, but for names that nobody
 * answers for now, whose number of lines is returned.
 */
size_t names_take(struct text *names, const char *heard);
/* Such a pair: a random name below @name, called @name (openvpn(8), remote-random-hostname). */
const char *names_below(struct arena *a, const char *name);

/* daemon/resolv.c: the rooms' resolv.conf and names of other rooms. */
const char *resolv_path(struct arena *a, const char *gate, const char *room);
/* The file for a room's /etc/hosts, with the names of the rooms that it may reach; NULL: none. */
const char *resolv_hosts(struct arena *a, const char *gate, const char *room);
#define RESOLV_SERVERS_MAX 8
/* The name servers of a resolv.conf(5) that are not on loopback; their number. */
size_t resolv_read(struct arena *a, const char *path, struct ip ret[RESOLV_SERVERS_MAX]);
/* The host's own. */
size_t resolv_host_servers(struct arena *a, struct ip ret[RESOLV_SERVERS_MAX]);
int resolv_write(struct supervisor *s, struct err *e) MUST_USE;
/* Puts it back where a host that renames its own has uncovered that one. */
int resolv_renew(struct supervisor *s, struct err *e) MUST_USE;

/* daemon/ports.c: keeps the host's programs from binding published ports. */
int ports_hold(const struct supervisor *s, const struct snapshot *host, const struct publish *ports,
	       size_t n, struct port_hold *ret, struct err *e) MUST_USE;
void ports_release(struct port_hold *held);
/* A socket bound to it, and to no other of the host's addresses; -EADDRINUSE if somebody has it. */
int port_bind(const struct ip *ip, uint8_t proto, uint16_t port, int *ret_fd) MUST_USE;

/* daemon/listen.c: addresses that the lan door listens on, and what is wrong with them. */
#define LISTEN_ABSENT                                                                              \
	"the lan door is to answer on %s, which is no address of this host: nobody is answered "   \
	"there until it is"
/* Is @ip, of this host, one that the lan door answers on? */
bool listen_wants(const struct door *lan, const struct ip *ip);
/* Tells of those where nobody will be answered. */
void listen_warn(const struct supervisor *s, const struct snapshot *host);
/* In @a, their number. */
size_t listen_absent(struct arena *a, const struct gate *g, const struct snapshot *host,
		     const struct ip **ret);
/* Tells of those that are missing and those that have come since it was called last. */
void listen_look(struct supervisor *s, struct arena *a, const struct snapshot *host);

/* daemon/strict.c: tells of interfaces where a strict rp_filter drops requests from afar. */
void strict_warn(const struct supervisor *s, struct arena *a, const struct snapshot *host);

/* daemon/files_watch.c: what changes without a word of netlink. */
/*
 * Names in /run/netns, resolv.conf, iptables-legacy.  Where root has no instance left this
 * is said, and done without until it is asked for again.
 */
int files_watch_open(struct supervisor *s, struct err *e) MUST_USE;
/* Those of our names that nobody watches yet, as somebody had taken them away. */
int files_watch_names(struct supervisor *s, struct err *e) MUST_USE;
/*
 * Those sysctls that the plan sets now; @ret_new: not the same as before, and nobody
 * has heard what happened to them meanwhile.  On an error none is watched.
 */
int files_watch_sysctls(struct supervisor *s, bool *ret_new, struct err *e) MUST_USE;

/* daemon/control.c */
#define CONTROL_LINE_SIZE 64
/*
 * The name of the socket alone, while nobody supervises @name: no supervisor begins as long
 * as it is open.  -EADDRINUSE, half a second later, if it is somebody's.
 */
int control_hold(const char *name, int *ret_fd, struct err *e) MUST_USE;
/* The socket of @name, which is a lock: -EADDRINUSE if it is somebody's. */
int control_bind(const char *name, int *ret_fd, struct err *e) MUST_USE;
/*
 * One connection with the line that it says; below 0 if it says none, or may not.  @who
 * tells the log if nobody can be heard.
 */
int control_accept(struct loop *l, struct loop_source *listener, const char *who,
		   char line[CONTROL_LINE_SIZE]);
void control_send(int fd, const char *text);
int control_listen(struct supervisor *s, struct err *e) MUST_USE;
/* Asks the supervisor of @gate; -ECONNREFUSED if there is none. */
int control_ask(struct arena *a, const char *gate, const char *request, int timeout_ms,
		const char **ret_answer, struct err *e) MUST_USE;

/* The process that keeps @gate, from unix(7)'s SO_PEERCRED; 0: none, or not root's. */
pid_t control_keeper(const char *gate);

/* daemon/sandbox.c: rooms whose namespaces an engine makes. */
const char *sandbox_directory(struct arena *a, const char *gate);
/* Reading a room's file says that it is no room's, and not that it cannot be read just now. */
bool sandbox_is_none(int r);
/*
 * Reads their files again.  What is wrong with one is told to the log, and the
 * others are taken; of room @only (NULL: none) it is @e.  The caller reconciles.
 */
int sandboxes_load(struct supervisor *s, const char *only, struct err *e) MUST_USE;
/* Which of them have a namespace and a link, before each plan. */
int sandboxes_look(struct supervisor *s, struct arena *a, const struct snapshot *gate,
		   struct err *e) MUST_USE;
void sandboxes_close(struct supervisor *s);

/*
 * daemon/sandbox_watch.c: addresses and routes that change in a sandbox end in
 * reconcile().  Held by pointer: places of sandboxes move, what the loop knows does not.
 */
struct sandbox_watch;
int sandbox_watch_open(struct supervisor *s, int netns_fd, struct sandbox_watch **ret,
		       struct err *e) MUST_USE;
/* Has anything changed there since it was asked last?  From the beginning on, yes. */
bool sandbox_watch_take(struct sandbox_watch *w);
void sandbox_watch_close(struct sandbox_watch **w);

/* daemon/status.c */
char *status_json(struct supervisor *s); /* malloc'ed */
/* daemon/trouble.c: in @a or of @s; NULL for none. */
const char *status_trouble(struct supervisor *s, struct arena *a);

/*
 * daemon/teardown.c: takes a gate away by what the kernel tells; 0 if there was none.
 * All goes that can: of the rest, @left has a line each with what to try, and @e their number.
 */
int teardown(const char *gate, bool *ret_found, struct text *left, struct err *e) MUST_USE;
/* Of a gate that stands, namespaces of rooms that it does not have (any more). */
int teardown_rooms(struct supervisor *s, struct err *e) MUST_USE;
/* A lock over what gates share on the host; released by closing the fd. */
int host_lock(int *ret_fd, struct err *e) MUST_USE;
/* Ends what runs in the namespace: SIGTERM, then SIGKILL after @grace_ms. */
int end_processes(int netns_fd, int grace_ms, struct err *e) MUST_USE;

/* daemon/leftovers.c: what is not taken over of a gate whose supervisor was killed. */
int leftovers_end(struct supervisor *s, struct err *e) MUST_USE;

/*
 * daemon/writable.c: tells of a file that others than root, or who called sudo(8), may write,
 * though what it says is done as root.
 */
void writable_warn(const struct supervisor *s, const char *path);

/* daemon/supervise.c */
int supervise(struct supervisor *s, struct err *e) MUST_USE;
/* doors[] and rooms[] for the gate, VPN files read; nothing is changed yet. */
int supervisor_prepare(struct supervisor *s, struct err *e) MUST_USE;

#endif
