/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lab.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Output of a shell command under @spec, in the arena. */
static const char *shell(struct arena *a, struct proc_spec spec, const char *command,
			 int *ret_status)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	const char *output;
	struct err e;

	spec.argv = argv;
	assert_ok(proc_run(&spec, NULL, 60000, a, &output, ret_status, &e));
	return output;
}

static void a_command_that_is_not_there_is_told_from_one_that_may_not_run(void **state)
{
	const char *const missing[] = { "no-such-command-anywhere", NULL };
	const char *const not_executable[] = { "/run/text", NULL };
	struct proc_spec spec = PROC_SPEC_NONE;
	struct err e;
	int pidfd;
	pid_t pid;

	(void)state;
	spec.argv = missing;
	assert_int_equal(proc_spawn(&spec, &pid, &pidfd, &e), -ENOENT);
	assert_string_equal(e.text, "no-such-command-anywhere: No such file or directory");
	close(open("/run/text", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	spec.argv = not_executable;
	assert_int_equal(proc_spawn(&spec, &pid, &pidfd, &e), -EACCES);
}

static void what_fails_before_the_command_never_looks_like_a_missing_command(void **state)
{
	const char *const argv[] = { "true", NULL };
	struct proc_spec spec = PROC_SPEC_NONE;
	struct err e;
	int pidfd;
	pid_t pid;

	(void)state;
	spec.argv = argv;
	spec.cwd = "/nowhere";
	assert_int_equal(proc_spawn(&spec, &pid, &pidfd, &e), -EIO);
	assert_string_equal(e.text, "directory /nowhere: No such file or directory");
	spec.cwd = NULL;
	spec.own_mounts = true;
	spec.resolv_conf = "/nowhere";
	assert_int_equal(proc_spawn(&spec, &pid, &pidfd, &e), -EIO);
	/* And nobody is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void the_pidfd_tells_the_end_and_reap_the_status(void **state)
{
	const char *const argv[] = { "sh", "-c", "exit 7", NULL };
	struct proc_spec spec = PROC_SPEC_NONE;
	struct pollfd p = { .events = POLLIN };
	int pidfd CLEANUP_FD = -1;
	struct err e;
	int status;
	pid_t pid;

	(void)state;
	spec.argv = argv;
	assert_ok(proc_spawn(&spec, &pid, &pidfd, &e));
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	p.fd = pidfd;
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(proc_reap(pid, &status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void signals_of_the_parent_are_nothing_to_the_child(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	unsigned long long blocked, ignored;
	sigset_t all, before;
	const char *output;
	int status;

	(void)state;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	signal(SIGTERM, SIG_IGN);
	output = shell(&a, spec, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status", &status);
	assert_int_equal(sscanf(output, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	/* 32 and 33 are libc's own, whoever ignored them before us: signal(3) refuses them. */
	assert_int_equal(ignored & ~0x180000000ULL, 0);
	signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void no_descriptor_leaks_but_the_one_that_is_passed(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	int kept CLEANUP_FD = fcntl(0, F_DUPFD_CLOEXEC, 50);
	int other CLEANUP_FD = fcntl(0, F_DUPFD_CLOEXEC, 60);
	const char *output;
	int status;

	(void)state;
	/* What the test program was born with is the child's too. */
	output = shell(&a, spec, "cd /proc/self/fd; echo '' * ''", &status);
	assert_null(strstr(output, arena_printf(&a, " %d ", kept)));
	assert_null(strstr(output, arena_printf(&a, " %d ", other)));
	spec.pass_fd = kept;
	output = shell(&a, spec, "cd /proc/self/fd; echo '' * ''", &status);
	assert_non_null(strstr(output, arena_printf(&a, " %d ", kept)));
	assert_null(strstr(output, arena_printf(&a, " %d ", other)));
}

static void output_and_error_may_be_given_crosswise(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo out; echo err >&2", NULL };
	struct proc_spec spec = PROC_SPEC_NONE;
	int pidfd CLEANUP_FD = -1;
	int one CLEANUP_FD = open("/run/one", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int two CLEANUP_FD = open("/run/two", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int saved_out = dup(1), saved_err = dup(2);
	char text[8] = "";
	struct pollfd p = { .events = POLLIN };
	struct err e;
	int status, r;
	pid_t pid;

	(void)state;
	fflush(stdout);
	dup2(one, 1);
	dup2(two, 2);
	spec.argv = argv;
	spec.stdin_fd = 0;
	spec.stdout_fd = 2;
	spec.stderr_fd = 1;
	r = proc_spawn(&spec, &pid, &pidfd, &e);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(saved_out);
	close(saved_err);
	assert_ok(r);
	p.fd = pidfd;
	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_true(proc_reap(pid, &status));
	assert_int_equal(pread(one, text, sizeof(text), 0), 4);
	assert_memory_equal(text, "err\n", 4);
	assert_int_equal(pread(two, text, sizeof(text), 0), 4);
	assert_memory_equal(text, "out\n", 4);
}

static void variables_are_added_and_replaced(void **state)
{
	const char *const env[] = { "LAB_NEW=new", "LAB_OLD=changed", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	int status;

	(void)state;
	setenv("LAB_OLD", "old", 1);
	setenv("LAB_KEPT", "kept", 1);
	spec.env = env;
	assert_string_equal(shell(&a, spec, "echo $LAB_NEW $LAB_OLD $LAB_KEPT", &status),
			    "new changed kept\n");
}

static void a_dropped_user_has_no_way_back(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	int status;

	(void)state;
	spec.drop_user = true;
	spec.uid = 65534;
	spec.gid = 65534;
	spec.user = "nobody";
	assert_string_equal(shell(&a, spec,
				  "id -u; id -g; id -G; echo $USER; grep CapEff /proc/self/status; "
				  "grep ^Uid /proc/self/status",
				  &status),
			    "65534\n65534\n65534\nnobody\nCapEff:\t0000000000000000\n"
			    "Uid:\t65534\t65534\t65534\t65534\n");
}

static void the_command_runs_in_its_namespace(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	int fd CLEANUP_FD = -1;
	struct err e;
	int status;

	(void)state;
	assert_ok(netns_create("office", "sallyport office", &fd, &e));
	spec.netns_fd = fd;
	assert_non_null(strstr(shell(&a, spec, "ip link show lo", &status), "sallyport office"));
	spec.netns_fd = -1;
	assert_null(strstr(shell(&a, spec, "ip link show lo", &status), "sallyport office"));
}

static bool lives(int pid)
{
	char path[64], line[128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = str_starts(line, "State:") && strspn(line + strlen("State:"), "\tRSD") > 1;
	if (f)
		fclose(f);
	return found;
}

static void a_late_command_is_killed_with_its_children(void **state)
{
	const char *const argv[] = { "sh", "-c", "sleep 100 & echo $! >/run/pid; wait", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	const char *output;
	int pid = 0, status;
	struct err e;
	FILE *f;

	(void)state;
	spec.argv = argv;
	assert_int_equal(proc_run(&spec, NULL, 300, &a, &output, &status, &e), -ETIMEDOUT);
	f = fopen("/run/pid", "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	/* Killed, which takes its time; whoever inherits it may not have reaped it yet. */
	for (int i = 0; lives(pid); i++) {
		assert_true(i < 6000);
		poll(NULL, 0, 10);
	}
}

static void input_is_given_and_output_is_bounded(void **state)
{
	const char *const cat[] = { "cat", NULL };
	const char *const much[] = { "head", "-c", "1000000", "/dev/zero", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	const char *output;
	struct err e;
	int status;

	(void)state;
	spec.argv = cat;
	assert_ok(proc_run(&spec, "hello", 60000, &a, &output, &status, &e));
	assert_string_equal(output, "hello");
	spec.argv = much;
	assert_ok(proc_run(&spec, NULL, 60000, &a, &output, &status, &e));
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_command_that_is_not_there_is_told_from_one_that_may_not_run, lab_enter),
		cmocka_unit_test_setup(
			what_fails_before_the_command_never_looks_like_a_missing_command,
			lab_enter),
		cmocka_unit_test_setup(the_pidfd_tells_the_end_and_reap_the_status, lab_enter),
		cmocka_unit_test_setup(signals_of_the_parent_are_nothing_to_the_child, lab_enter),
		cmocka_unit_test_setup(no_descriptor_leaks_but_the_one_that_is_passed, lab_enter),
		cmocka_unit_test_setup(output_and_error_may_be_given_crosswise, lab_enter),
		cmocka_unit_test_setup(variables_are_added_and_replaced, lab_enter),
		cmocka_unit_test_setup(a_dropped_user_has_no_way_back, lab_enter),
		cmocka_unit_test_setup(the_command_runs_in_its_namespace, lab_enter),
		cmocka_unit_test_setup(a_late_command_is_killed_with_its_children, lab_enter),
		cmocka_unit_test_setup(input_is_given_and_output_is_bounded, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
