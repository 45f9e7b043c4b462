//go:build !linux && !darwin && !freebsd && !windows

package spool

import "errors"

// diskFree is not supported here.
func diskFree(dir string) (free int64, readOnly bool, err error) {
	return 0, false, errors.ErrUnsupported
}
