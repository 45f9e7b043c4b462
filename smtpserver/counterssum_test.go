package smtpserver

import (
	"reflect"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
)

// Plus adds each field, also one that is new.
func TestCountersPlus(t *testing.T) {
	h := counters.Histogram{}
	h.Observe(1)
	var one Counters
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); p := f.Addr().Interface().(type) {
		case *int64:
			*p = 1
		case *map[int]int64:
			*p = map[int]int64{1: 1}
		case *map[string]int64:
			*p = map[string]int64{"a": 1}
		case *Histogram:
			*p = h.Snapshot()
		default:
			t.Fatalf("%s has a type that the test does not know", v.Type().Field(i).Name)
		}
	}
	sum := reflect.ValueOf(Counters{}.Plus(one).Plus(one))
	for i := range sum.NumField() {
		name, ok := sum.Type().Field(i).Name, false
		switch f := sum.Field(i).Interface().(type) {
		case int64:
			ok = f == 2
		case map[int]int64:
			ok = f[1] == 2
		case map[string]int64:
			ok = f["a"] == 2
		case Histogram:
			ok = f.Count == 2
		}
		if !ok {
			t.Errorf("%s = %v", name, sum.Field(i))
		}
	}
	if one.Sessions != 1 || one.Refusals["a"] != 1 {
		t.Errorf("Plus has changed its operand: %+v", one)
	}
}
