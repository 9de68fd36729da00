// Linux calls that the Swift overlay of glibc leaves out.
#pragma once
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <time.h>

// Declared by hand, since the headers show them only under _GNU_SOURCE, which modules must not differ in.
int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags);
int pipe2(int ends[2], int flags);
void *memmem(const void *bytes, size_t size, const void *part, size_t part_size);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
int pthread_setname_np(pthread_t thread, const char *name);
