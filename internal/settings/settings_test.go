package settings

import (
	"math"
	"testing"
	"time"
)

func TestIsNil(t *testing.T) {
	var (
		pointer  *int
		function func()
		m        map[string]int
		channel  chan int
		slice    []int
	)
	for _, c := range []struct {
		v          any
		nil, typed bool
	}{
		{nil, true, false},
		{pointer, true, true},
		{function, true, true},
		{m, true, true},
		{channel, true, true},
		{slice, false, false}, // an empty list can be a useful value
		{new(int), false, false},
		{func() {}, false, false},
		{0, false, false},
		{struct{}{}, false, false},
	} {
		if IsNil(c.v) != c.nil || IsTypedNil(c.v) != c.typed {
			t.Errorf("%T: IsNil %v, IsTypedNil %v", c.v, IsNil(c.v), IsTypedNil(c.v))
		}
	}
}

func TestLimits(t *testing.T) {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{Number("N", 0), ""},
		{Number("N", 1), ""},
		{Number("N", -1), "N is -1: must not be negative"},
		{Number("N", -time.Second), "N is -1s: must not be negative"},
		{Number("N", math.NaN()), "N is not a number"},
		{Optional("N", 7), ""},
		{Optional("N", -1), ""},
		{Optional("N", -2), "N is -2: only -1 means no limit, other negative numbers are not allowed"},
		{Time("T", 0), ""},
		{Time("T", time.Millisecond), ""},
		{Time("T", 30), "T is 30 nanoseconds: is the unit missing, for example 30*time.Second?"},
		{Time("T", -time.Minute), "T is -1m0s: must not be negative"},
		{OptionalTime("T", -time.Minute), ""},
		{OptionalTime("T", 5), "T is 5 nanoseconds: is the unit missing, for example 5*time.Second?"},
		{Join("p: ", nil, nil), ""},
		{Join("p: ", Number("A", -1), nil, Number("B", -2)), "p: A is -1: must not be negative\np: B is -2: must not be negative"},
	} {
		if got := text(c.err); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
