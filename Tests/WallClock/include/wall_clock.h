// Nothing is called from outside: the library takes the place of functions of libc in a process that is started with it.
#pragma once
