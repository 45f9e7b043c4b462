// Package settings has checks of settings that several packages make when they
// start.
package settings

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// IsNil reports whether v is nil or contains a nil pointer, function, map or
// channel. An interface that contains a nil pointer is not equal to nil, but a
// call of its methods usually panics.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan:
		return r.IsNil()
	}
	return false
}

// IsTypedNil reports whether v is not nil, but contains a nil pointer, function,
// map or channel. For an optional setting nil means the default, and a typed nil
// is an error of the program.
func IsTypedNil(v any) bool { return v != nil && IsNil(v) }

// Number returns an error if a limit is negative. name is the name of the field.
func Number[T int | int64 | float64 | time.Duration](name string, v T) error {
	if v < 0 {
		return fmt.Errorf("%s is %v: must not be negative", name, v)
	}
	if v != v {
		return fmt.Errorf("%s is not a number", name)
	}
	return nil
}

// Optional returns an error if a limit is negative, except -1, which means no
// limit. Another negative number is the result of a wrong computation.
func Optional[T int | int64 | float64 | time.Duration](name string, v T) error {
	if v == -1 {
		return nil
	}
	if v < 0 {
		return fmt.Errorf("%s is %v: only -1 means no limit, other negative numbers are not allowed", name, v)
	}
	return nil
}

// shortest is the shortest time that is plausible as a setting.
const shortest = time.Millisecond

// Time returns an error if a time is negative, or so short that its unit is
// missing: 30 instead of 30*time.Second.
func Time(name string, d time.Duration) error {
	if 0 < d && d < shortest {
		return fmt.Errorf("%s is %d nanoseconds: is the unit missing, for example %d*time.Second?", name, d.Nanoseconds(), d.Nanoseconds())
	}
	return Number(name, d)
}

// OptionalTime returns an error if a time is so short that its unit is missing.
// A negative time is allowed: it has a meaning of its own.
func OptionalTime(name string, d time.Duration) error {
	if d < 0 {
		return nil
	}
	return Time(name, d)
}

// Join returns all errors as one, each with the prefix, or nil.
func Join(prefix string, errs ...error) error {
	var all []error
	for _, err := range errs {
		if err != nil {
			all = append(all, fmt.Errorf("%s%w", prefix, err))
		}
	}
	return errors.Join(all...)
}
