/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lab.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/proc.h"
#include "sys/rtnl.h"
#include "sys/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

static void a_new_namespace_has_loopback_up_and_says_whose_it_is(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl *rt CLEANUP_RTNL = NULL;
	int fd CLEANUP_FD = -1;
	int home CLEANUP_FD = -1;
	int now CLEANUP_FD = -1;
	struct snapshot snap;
	struct err e;

	(void)state;
	assert_ok(netns_open_self(&home, &e));
	assert_ok(netns_create("office.gate", "sallyport office", &fd, &e));
	assert_ok(netns_open_self(&now, &e));
	assert_true(netns_same(home, now));
	assert_false(netns_same(home, fd));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_ok(rtnl_open(fd, &rt, &e));
	assert_ok(rtnl_snapshot(rt, &a, &snap, &e));
	assert_int_equal(snap.n_links, 1);
	assert_string_equal(snap.links[0].alias, "sallyport office");
	assert_true(snap.links[0].flags & IFF_UP);
	assert_int_equal(snap.links[0].index, LINK_LOOPBACK);
	/* iproute2 agrees. */
	assert_int_equal(system("ip netns exec office.gate ip link show lo | grep -q ,UP"), 0);
}

static void a_name_is_taken_once_and_free_again_after_deletion(void **state)
{
	int fd CLEANUP_FD = -1;
	int again CLEANUP_FD = -1;
	struct err e;

	(void)state;
	assert_int_equal(netns_open("office", &fd, &e), -ENOENT);
	assert_ok(netns_create("office", "x", &fd, &e));
	assert_int_equal(netns_create("office", "x", &again, &e), -EEXIST);
	assert_string_equal(e.text, "namespace \"office\": File exists");
	assert_ok(netns_open("office", &again, &e));
	assert_true(netns_same(fd, again));
	fd_close(&again);
	assert_ok(netns_delete("office", &e));
	assert_ok(netns_delete("office", &e));
	assert_int_equal(netns_open("office", &again, &e), -ENOENT);
	assert_int_equal(access(NETNS_DIR "/office", F_OK), -1);
	assert_ok(netns_create("office", "x", &again, &e));
	assert_false(netns_same(fd, again));
}

static void a_file_left_by_a_dead_maker_is_no_namespace(void **state)
{
	int fd CLEANUP_FD = -1;
	struct err e;

	(void)state;
	assert_int_equal(mkdir(NETNS_DIR, 0755), 0);
	close(open(NETNS_DIR "/office", O_CREAT | O_WRONLY | O_CLOEXEC, 0));
	assert_int_equal(netns_open("office", &fd, &e), -ENOENT);
	assert_ok(netns_create("office", "x", &fd, &e));
}

static void names_that_are_paths_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "../../etc/passwd", "/x" };
	struct err e;
	int fd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(netns_open(bad[i], &fd, &e), -EINVAL);
		assert_int_equal(netns_create(bad[i], "x", &fd, &e), -EINVAL);
		assert_int_equal(netns_delete(bad[i], &e), -EINVAL);
	}
}

static void what_iproute2_made_is_found_and_listed(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int fd CLEANUP_FD = -1;
	const char **names;
	struct err e;
	size_t n;

	(void)state;
	assert_ok(netns_list(&a, &names, &n, &e));
	assert_int_equal(n, 0);
	assert_int_equal(system("ip netns add theirs"), 0);
	assert_ok(netns_open("theirs", &fd, &e));
	assert_ok(netns_list(&a, &names, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(names[0], "theirs");
}

static void a_name_that_was_taken_away_is_put_back(void **state)
{
	int fd CLEANUP_FD = -1;
	int again CLEANUP_FD = -1;
	struct err e;

	(void)state;
	assert_ok(netns_create("office", "x", &fd, &e));
	assert_int_equal(netns_keep("office", fd, &e), 0);
	assert_int_equal(system("ip netns del office"), 0);
	assert_int_equal(netns_keep("office", fd, &e), 1);
	assert_ok(netns_open("office", &again, &e));
	assert_true(netns_same(fd, again));
	assert_int_equal(system("ip netns del office && ip netns add office"), 0);
	assert_int_equal(netns_keep("office", fd, &e), -EEXIST);
}

static void a_visit_ends_at_home_and_sysctls_are_those_of_the_place(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int fd CLEANUP_FD = -1;
	const char *value;
	bool changed;
	struct err e;

	(void)state;
	assert_ok(netns_create("office", "x", &fd, &e));
	{
		struct netns_visit v CLEANUP_VISIT = NETNS_VISIT_NONE;

		assert_ok(netns_enter(fd, &v, &e));
		assert_int_equal(netns_enter(fd, &v, &e), -EALREADY);
		assert_ok(sysctl_set("ipv4/ip_forward", "1", &changed, &e));
		assert_true(changed);
		assert_ok(sysctl_set("ipv4/ip_forward", "1", &changed, &e));
		assert_false(changed);
		assert_ok(sysctl_set("ipv4/ip_local_port_range", "40000 50000", NULL, &e));
		assert_ok(sysctl_set("ipv4/ip_local_port_range", "40000 50000", &changed, &e));
		assert_false(changed);
	}
	assert_ok(sysctl_get(&a, "ipv4/ip_forward", &value, &e));
	assert_string_equal(value, "0");
	{
		struct netns_visit v CLEANUP_VISIT = NETNS_VISIT_NONE;

		assert_ok(netns_enter(fd, &v, &e));
		assert_ok(sysctl_get(&a, "ipv4/ip_forward", &value, &e));
		assert_string_equal(value, "1");
	}
	assert_int_equal(sysctl_get(&a, "ipv4/conf/absent/forwarding", &value, &e), -ENOENT);
	assert_int_equal(sysctl_get(&a, "../kernel/hostname", &value, &e), -EINVAL);
	assert_true(sysctl_set("ipv4/ip_local_port_range", "rubbish", NULL, &e) < 0);
}

/* Opened once and used with the thread elsewhere in between, as a supervisor does. */
static void sysctls_below_an_open_directory_are_those_of_the_place(void **state)
{
	struct sysctl_dirs here = SYSCTL_DIRS_NONE, there = SYSCTL_DIRS_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	int fd CLEANUP_FD = -1;
	const char *value;
	struct err e;

	(void)state;
	assert_ok(netns_create("office", "x", &fd, &e));
	assert_ok(sysctl_set_in(&here, "ipv4/ip_forward", "0", &e));
	{
		struct netns_visit v CLEANUP_VISIT = NETNS_VISIT_NONE;

		assert_ok(netns_enter(fd, &v, &e));
		assert_ok(sysctl_set_in(&there, "ipv4/ip_forward", "1", &e));
		assert_ok(sysctl_set_in(&there, "ipv6/conf/all/forwarding", "1", &e));
		assert_ok(sysctl_get(&a, "ipv6/conf/all/forwarding", &value, &e));
		assert_string_equal(value, "1");
	}
	assert_ok(sysctl_get_in(&here, &a, "ipv4/ip_forward", &value, &e));
	assert_string_equal(value, "0");
	assert_ok(sysctl_get(&a, "ipv6/conf/all/forwarding", &value, &e));
	assert_string_equal(value, "0");
	assert_int_equal(sysctl_get_in(&here, &a, "ipv4/conf/absent/forwarding", &value, &e),
			 -ENOENT);
	assert_int_equal(sysctl_get_in(&here, &a, "ipv4/../../kernel/hostname", &value, &e),
			 -EINVAL);
	sysctl_dirs_close(&here);
	sysctl_dirs_close(&there);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (!proc_reap(pid, &(int){ 0 }))
		usleep(1000);
}

static void the_processes_of_a_namespace_are_found(void **state)
{
	const char *const argv[] = { "sleep", "100", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	int fd CLEANUP_FD = -1;
	int pidfd CLEANUP_FD = -1;
	struct err e;
	int *pids;
	pid_t pid;
	size_t n;

	(void)state;
	assert_ok(netns_create("office", "x", &fd, &e));
	assert_ok(netns_pids(&a, fd, &pids, &n, &e));
	assert_int_equal(n, 0);
	spec.argv = argv;
	spec.netns_fd = fd;
	assert_ok(proc_spawn(&spec, &pid, &pidfd, &e));
	assert_ok(netns_pids(&a, fd, &pids, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(pids[0], pid);
	end(pid);
}

static bool has_ended(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void a_signal_is_for_processes_of_the_namespace_alone(void **state)
{
	const char *const argv[] = { "sleep", "100", NULL };
	struct proc_spec spec = PROC_SPEC_NONE;
	int fd CLEANUP_FD = -1;
	int in CLEANUP_FD = -1;
	int out CLEANUP_FD = -1;
	pid_t inside, outside;
	struct err e;

	(void)state;
	assert_ok(netns_create("office", "x", &fd, &e));
	spec.argv = argv;
	assert_ok(proc_spawn(&spec, &outside, &out, &e));
	spec.netns_fd = fd;
	assert_ok(proc_spawn(&spec, &inside, &in, &e));
	netns_signal(fd, outside, SIGKILL);
	netns_signal(fd, inside, SIGKILL);
	assert_true(has_ended(in, 60000));
	assert_false(has_ended(out, 0)); /* it was signalled first */
	end(outside);
	end(inside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_namespace_has_loopback_up_and_says_whose_it_is,
				       lab_enter),
		cmocka_unit_test_setup(a_name_is_taken_once_and_free_again_after_deletion,
				       lab_enter),
		cmocka_unit_test_setup(a_file_left_by_a_dead_maker_is_no_namespace, lab_enter),
		cmocka_unit_test_setup(names_that_are_paths_are_refused, lab_enter),
		cmocka_unit_test_setup(what_iproute2_made_is_found_and_listed, lab_enter),
		cmocka_unit_test_setup(a_name_that_was_taken_away_is_put_back, lab_enter),
		cmocka_unit_test_setup(a_visit_ends_at_home_and_sysctls_are_those_of_the_place,
				       lab_enter),
		cmocka_unit_test_setup(sysctls_below_an_open_directory_are_those_of_the_place,
				       lab_enter),
		cmocka_unit_test_setup(the_processes_of_a_namespace_are_found, lab_enter),
		cmocka_unit_test_setup(a_signal_is_for_processes_of_the_namespace_alone, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
