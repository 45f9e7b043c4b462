// Package filelock locks a file against other processes.
package filelock

import "errors"

// ErrLocked is the error of Lock if another open file has the lock.
var ErrLocked = errors.New("the file is locked by another process")
