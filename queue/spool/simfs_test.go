package spool

import "github.com/bridgehead-mail/bridgehead/internal/memdisk"

// simFS is a disk in memory that can fail any call and lose its power.
type simFS = memdisk.Disk

func newSimFS(seed uint64) *simFS { return memdisk.New(seed) }
