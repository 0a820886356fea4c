#pragma once

#include <sys/types.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
