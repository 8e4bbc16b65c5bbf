// SPDX-License-Identifier: BSL-1.0
// Which sanitizer this is built with.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define ASYNCIO_TEST_ADDRESS_SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define ASYNCIO_TEST_THREAD_SANITIZED 1
#elif defined(__has_feature)
#define ASYNCIO_TEST_ADDRESS_SANITIZED __has_feature(address_sanitizer)
#define ASYNCIO_TEST_THREAD_SANITIZED __has_feature(thread_sanitizer)
#endif
#ifndef ASYNCIO_TEST_ADDRESS_SANITIZED
#define ASYNCIO_TEST_ADDRESS_SANITIZED 0
#endif
#ifndef ASYNCIO_TEST_THREAD_SANITIZED
#define ASYNCIO_TEST_THREAD_SANITIZED 0
#endif

/// With the undefined behaviour sanitizer too: this project uses the two together.
inline constexpr bool address_sanitized = ASYNCIO_TEST_ADDRESS_SANITIZED;
inline constexpr bool thread_sanitized = ASYNCIO_TEST_THREAD_SANITIZED;
