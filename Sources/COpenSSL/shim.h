// OpenSSL as Swift sees it: the headers, and one static inline function for each macro that is used.
#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
