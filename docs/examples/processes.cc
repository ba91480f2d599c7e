// SPDX-License-Identifier: LGPL-2.1-or-later
//
// List the living processes. c++ processes.cc $(pkg-config --cflags --libs libforkbus)
#include <cstring>
#include <forkbus.h>
#include <iostream>
#include <memory>

int main(int argc, char **argv)
{
	struct forkbus *client;
	struct forkbus_list *list = nullptr;
	int r = forkbus_new(&client, argc > 1 ? argv[1] : nullptr, 0);

	if (r == 0) {
		std::unique_ptr<struct forkbus, decltype(&forkbus_free)> owner(client, forkbus_free);
		r = forkbus_list_processes(client, 5000000, &list);
	}
	if (r < 0) {
		std::cerr << "forkbus: " << std::strerror(-r) << '\n';
		return 1;
	}
	std::unique_ptr<struct forkbus_list, decltype(&forkbus_list_free)> owner(list, forkbus_list_free);
	const struct forkbus_event *process;
	while (forkbus_list_next(list, &process) > 0) {
		const char *comm = "?";
		uint64_t pid = 0;
		forkbus_event_get_uint(process, FORKBUS_FIELD_PID, &pid);
		forkbus_event_get_text(process, FORKBUS_FIELD_COMM, &comm, nullptr);
		std::cout << pid << ' ' << comm << '\n';
	}
	return 0;
}
