package program

import (
	"io"
	"sync"
)

// Reuse returns the value with open connections that the rules r use, for example the
// client of a directory: the value in use under this name if it has the same settings,
// otherwise fresh. It adds to r that the value comes into use with the rules, and is
// closed at the end of the gateway. If a reload replaces the value, the previous one is
// closed; sessions that still have it must be able to use it after that.
//
// settings are all settings of the value, as a text. The zero value of T means none; a
// gateway in which a reload can add a value calls Reuse also without one.
func Reuse[T closer](k *Kit, r *Rules, name, settings string, fresh T) T {
	in := Keep[inUse[T]](k, name)
	value := in.same(settings, fresh)
	r.Applied = append(r.Applied, func() { in.replace(settings, value) })
	r.Closers = append(r.Closers, in)
	return value
}

type closer interface {
	comparable
	io.Closer
}

// inUse is a value that the rules in use have.
type inUse[T closer] struct {
	mu       sync.Mutex // guards the fields below
	settings string
	value    T // zero: none
}

// same returns the value in use if it has the settings, otherwise fresh.
func (u *inUse[T]) same(settings string, fresh T) T {
	u.mu.Lock()
	defer u.mu.Unlock()
	var none T
	if fresh == none || u.value == none || u.settings != settings {
		return fresh
	}
	return u.value
}

// replace makes a value the one in use, and closes the previous one.
func (u *inUse[T]) replace(settings string, value T) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var none T
	if u.value != none && u.value != value {
		u.value.Close()
	}
	u.settings, u.value = settings, value
}

// Close closes the value in use.
func (u *inUse[T]) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var none T
	if u.value == none {
		return nil
	}
	return u.value.Close()
}
