//go:build !(linux || darwin || freebsd)

package policy

import "errors"

func diskUse(string) (float64, error) {
	return 0, errors.New("policy: disk use cannot be measured on this system")
}
