/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process in a room sees of the host's resolvers: src/sys/mounts.c. */
#include "lab.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Far beyond what a busy machine needs: only a hang takes so long. */
enum { LONG_MS = 60000 };

/* An /etc of our own too: its resolv.conf will be a link, missing, replaced. */
static int enter(void **state)
{
	if (lab_enter(state) < 0)
		return -1;
	return system("mkdir /run/etc && cp -a /etc/passwd /etc/group /run/etc/ && "
		      "mount --bind /run/etc /etc && "
		      "printf 'passwd: files\\n hosts : resolve [!UNAVAIL=return] mdns4 files\\n"
		      "networks: files' >/etc/nsswitch.conf && "
		      "echo 'nameserver 127.0.0.53' >/etc/resolv.conf && "
		      "echo '127.0.0.1 localhost' >/etc/hosts && "
		      "mkdir /run/rooms && echo 'nameserver 198.18.0.2' >/run/rooms/resolv.conf && "
		      "echo '192.0.2.7 vpn.example' >/run/rooms/hosts");
}

static struct proc_spec room(void)
{
	struct proc_spec spec = PROC_SPEC_NONE;

	spec.own_mounts = true;
	spec.resolv_conf = "/run/rooms/resolv.conf";
	return spec;
}

static const char *shell(struct arena *a, struct proc_spec spec, const char *command)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	const char *output;
	struct err e;
	int status;

	spec.argv = argv;
	assert_ok(proc_run(&spec, NULL, LONG_MS, a, &output, &status, &e));
	return output;
}

static const char *file(struct arena *a, const char *path)
{
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);
	char *buf = arena_alloc(a, 4096);

	assert_true(fd >= 0);
	assert_true(read(fd, buf, 4095) >= 0);
	return buf;
}

static void a_room_reads_its_own_resolv_conf_and_a_tame_nsswitch(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_string_equal(shell(&a, room(), "cat /etc/resolv.conf"), "nameserver 198.18.0.2\n");
	assert_string_equal(shell(&a, room(), "cat /etc/nsswitch.conf"),
			    "passwd: files\nnetworks: files\nhosts: files dns\n");
	assert_string_equal(file(&a, "/etc/resolv.conf"), "nameserver 127.0.0.53\n");
}

static void a_rewrite_in_place_is_seen_in_the_room(void **state)
{
	const char *const argv[] = { "/bin/sh", "-c", "read x; cat /etc/resolv.conf", NULL };
	struct proc_spec spec = room();
	int pidfd CLEANUP_FD = -1;
	int in[2], out[2];
	char buf[64] = "";
	struct err e;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	spec.argv = argv;
	spec.stdin_fd = in[0];
	spec.stdout_fd = out[1];
	assert_ok(proc_spawn(&spec, &pid, &pidfd, &e));
	assert_int_equal(system("echo 'nameserver 198.18.0.66' >/run/rooms/resolv.conf"), 0);
	assert_int_equal(write(in[1], "\n", 1), 1);
	assert_int_equal(read(out[0], buf, sizeof(buf)), 23);
	assert_string_equal(buf, "nameserver 198.18.0.66\n");
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	while (!proc_reap(pid, &(int){ 0 }))
		usleep(1000);
}

static void listen_at(const char *dir, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(system(dir), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", name);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	/* Stays open until the test program ends. */
}

static void the_sockets_of_the_hosts_resolvers_are_out_of_reach(void **state)
{
	static const char try_all[] =
		"/usr/bin/python3 -ISc '\n"
		"import socket, sys\n"
		"for path in sys.argv[1:]:\n"
		"    try:\n"
		"        socket.socket(socket.AF_UNIX).connect(path)\n"
		"        print(\"reached\")\n"
		"    except OSError as e:\n"
		"        print(type(e).__name__)\n"
		"' /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve "
		"/run/avahi-daemon/socket /run/dbus/system_bus_socket; "
		"touch /run/nscd/x 2>/dev/null && echo writable; ls -A /run/nscd";
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec outside = PROC_SPEC_NONE;

	(void)state;
	listen_at("mkdir -p /run/nscd", "/run/nscd/socket");
	listen_at("mkdir -p /run/systemd/resolve", "/run/systemd/resolve/io.systemd.Resolve");
	listen_at("mkdir -p /run/avahi-daemon", "/run/avahi-daemon/socket");
	listen_at("mkdir -p /run/dbus", "/run/dbus/system_bus_socket");
	assert_string_equal(shell(&a, room(), try_all),
			    "FileNotFoundError\nFileNotFoundError\nFileNotFoundError\n"
			    "FileNotFoundError\n");
	/* The same question has another answer outside. */
	assert_non_null(
		strstr(shell(&a, outside, try_all), "reached\nreached\nreached\nreached\n"));
}

static void resolv_conf_may_be_a_link_into_what_is_masked(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_int_equal(
		system("mkdir -p /run/systemd/resolve && "
		       "echo 'nameserver 127.0.0.53' >/run/systemd/resolve/stub-resolv.conf && "
		       "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf"),
		0);
	assert_string_equal(shell(&a, room(), "cat /etc/resolv.conf"), "nameserver 198.18.0.2\n");
	assert_string_equal(shell(&a, room(), "ls /run/systemd/resolve"), "");
}

static void the_rooms_file_may_itself_lie_in_what_is_masked(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = room();

	(void)state;
	assert_int_equal(system("mkdir -p /run/resolvconf && "
				"echo 'nameserver 198.18.0.3' >/run/resolvconf/room"),
			 0);
	spec.resolv_conf = "/run/resolvconf/room";
	assert_string_equal(shell(&a, spec, "cat /etc/resolv.conf; ls /run/resolvconf"),
			    "nameserver 198.18.0.3\n");
}

static void resolv_conf_may_be_a_dangling_link(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_int_equal(system("ln -sf /run/nowhere/resolv.conf /etc/resolv.conf"), 0);
	assert_string_equal(shell(&a, room(), "cat /etc/resolv.conf"), "nameserver 198.18.0.2\n");
	assert_int_equal(access("/run/nowhere", F_OK), -1);
}

static void resolv_conf_may_be_missing(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_int_equal(unlink("/etc/resolv.conf"), 0);
	assert_string_equal(shell(&a, room(), "cat /etc/resolv.conf"), "nameserver 198.18.0.2\n");
	/* An empty one says the same to the host as none. */
	assert_string_equal(file(&a, "/etc/resolv.conf"), "");
}

static void a_client_writes_only_to_its_own_copies(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = room();

	(void)state;
	spec.client = true;
	spec.hosts_file = "/run/rooms/hosts";
	assert_string_equal(shell(&a, spec,
				  "cat /etc/resolv.conf /etc/hosts; echo evil >/etc/resolv.conf; "
				  "cat /etc/resolv.conf"),
			    "nameserver 198.18.0.2\n192.0.2.7 vpn.example\nevil\n");
	assert_string_equal(file(&a, "/run/rooms/resolv.conf"), "nameserver 198.18.0.2\n");
	spec.resolv_conf = NULL;
	assert_string_equal(shell(&a, spec, "cat /etc/resolv.conf; echo evil >/etc/resolv.conf"),
			    "nameserver 127.0.0.53\n");
	assert_string_equal(file(&a, "/etc/resolv.conf"), "nameserver 127.0.0.53\n");
	assert_string_equal(file(&a, "/etc/hosts"), "127.0.0.1 localhost\n");
}

static void a_client_has_a_wireguard_directory_of_its_own(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = room();

	(void)state;
	assert_int_equal(mkdir("/run/private", 0700), 0);
	spec.client = true;
	spec.private_dir = "/run/private";
	shell(&a, spec, "echo key >/run/wireguard/wg0.sock");
	assert_string_equal(file(&a, "/run/private/wg0.sock"), "key\n");
	assert_int_equal(access("/run/wireguard/wg0.sock", F_OK), -1);
}

static void nothing_stays_behind(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = room();
	struct proc_spec outside = PROC_SPEC_NONE;
	const char *look = "ls -A /run /etc; cat /proc/self/mountinfo";
	const char *before;

	(void)state;
	spec.client = true;
	spec.hosts_file = "/run/rooms/hosts";
	before = shell(&a, outside, look);
	shell(&a, spec, "true");
	assert_string_equal(shell(&a, outside, look), before);
}

/*
 * Not what one would wish: the kernel takes a mount away when the file under it
 * is renamed over in another mount namespace.  DHCP clients write so.
 */
static void a_replaced_resolv_conf_uncovers_the_hosts_until_it_is_renewed(void **state)
{
	const char *const argv[] = { "/bin/sh", "-c",
				     "read x; cat /etc/resolv.conf; read x; cat /etc/resolv.conf",
				     NULL };
	struct proc_spec spec = room();
	int pidfd CLEANUP_FD = -1;
	char command[512];
	int in[2], out[2];
	char buf[64] = "";
	struct err e;
	pid_t pid;

	(void)state;
	/* As under systemd. */
	assert_int_equal(system("mount --make-rshared /"), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	spec.argv = argv;
	spec.stdin_fd = in[0];
	spec.stdout_fd = out[1];
	assert_ok(proc_spawn(&spec, &pid, &pidfd, &e));
	assert_int_equal(system("echo 'nameserver 192.0.2.1' >/etc/new && "
				"mv /etc/new /etc/resolv.conf"),
			 0);
	assert_int_equal(write(in[1], "\n", 1), 1);
	assert_true(read(out[0], buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, "nameserver 192.0.2.1\n");
	/* The fact; and its cure. */
	assert_int_equal(mounts_renew(pid, spec.resolv_conf, "/etc/resolv.conf", &e), 1);
	assert_int_equal(mounts_renew(pid, spec.resolv_conf, "/etc/resolv.conf", &e), 0);
	/* What is mounted over it there does not come back to us. */
	snprintf(command, sizeof(command),
		 "nsenter -t %d -m mount --bind /dev/null /etc/resolv.conf && "
		 "! grep -q ' %s ' /proc/self/mountinfo && "
		 "nsenter -t %d -m umount /etc/resolv.conf",
		 (int)pid, spec.resolv_conf, (int)pid);
	assert_int_equal(system(command), 0);
	assert_int_equal(write(in[1], "\n", 1), 1);
	memset(buf, 0, sizeof(buf));
	assert_true(read(out[0], buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, "nameserver 198.18.0.2\n");
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	while (!proc_reap(pid, &(int){ 0 }))
		usleep(1000);
}

/* Mounts a FUSE over @over where @pid lives whose daemon says nothing, not even hello (fuse(4)). */
static pid_t mount_silence(pid_t pid, const char *over)
{
	int said[2];
	char word = 0;
	pid_t daemon;

	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	daemon = fork();
	assert_true(daemon >= 0);
	if (daemon == 0) {
		int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC), mnt;
		char path[64], options[128];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
		snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0",
			 fuse);
		mnt = open(path, O_RDONLY | O_CLOEXEC);
		if (fuse >= 0 && setns(mnt, CLONE_NEWNS) == 0 &&
		    mount("silence", over, "fuse", 0, options) == 0)
			word = 'm';
		if (write(said[1], &word, 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(said[0], &word, 1), 1);
	assert_int_equal(word, 'm');
	close(said[0]);
	close(said[1]);
	return daemon;
}

static void who_lives_on_a_file_system_that_hangs_is_not_waited_for_without_end(void **state)
{
	const char *const argv[] = { "/bin/sh", "-c", "read x", NULL };
	struct proc_spec spec = room();
	int pidfd CLEANUP_FD = -1;
	pid_t pid, daemon;
	int in[2], status;
	struct err e;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	spec.argv = argv;
	spec.stdin_fd = in[0];
	assert_ok(proc_spawn(&spec, &pid, &pidfd, &e));
	daemon = mount_silence(pid, "/etc");
	alarm(60);
	assert_int_equal(mounts_renew(pid, spec.resolv_conf, "/etc/resolv.conf", &e), -ETIMEDOUT);
	alarm(0);
	assert_non_null(strstr(e.text, "put /etc/resolv.conf back for process"));
	assert_non_null(strstr(e.text, "did not end in 5000 ms"));
	kill(daemon, SIGKILL);
	assert_ok(proc_wait(daemon, LONG_MS, &status, &e));
	close(in[0]);
	close(in[1]);
	assert_ok(proc_wait(pid, LONG_MS, &status, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_room_reads_its_own_resolv_conf_and_a_tame_nsswitch, enter),
		cmocka_unit_test_setup(a_rewrite_in_place_is_seen_in_the_room, enter),
		cmocka_unit_test_setup(the_sockets_of_the_hosts_resolvers_are_out_of_reach, enter),
		cmocka_unit_test_setup(resolv_conf_may_be_a_link_into_what_is_masked, enter),
		cmocka_unit_test_setup(the_rooms_file_may_itself_lie_in_what_is_masked, enter),
		cmocka_unit_test_setup(resolv_conf_may_be_a_dangling_link, enter),
		cmocka_unit_test_setup(resolv_conf_may_be_missing, enter),
		cmocka_unit_test_setup(a_client_writes_only_to_its_own_copies, enter),
		cmocka_unit_test_setup(a_client_has_a_wireguard_directory_of_its_own, enter),
		cmocka_unit_test_setup(nothing_stays_behind, enter),
		cmocka_unit_test_setup(
			a_replaced_resolv_conf_uncovers_the_hosts_until_it_is_renewed, enter),
		cmocka_unit_test_setup(
			who_lives_on_a_file_system_that_hangs_is_not_waited_for_without_end, enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
