//go:build darwin || freebsd

package spool

import "golang.org/x/sys/unix"

const readOnlyFlag = unix.MNT_RDONLY
