#pragma once

#include <mosquitto.h>
#include <poll.h>
