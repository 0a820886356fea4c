#pragma once

#include <sys/types.h>
#include <bpf/libbpf.h>
