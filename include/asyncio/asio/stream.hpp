// SPDX-License-Identifier: BSL-1.0
// Streams as Asio streams.
#pragma once
