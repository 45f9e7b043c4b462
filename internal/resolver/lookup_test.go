package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A table is a Resolver that gives the same answer or error for all names.
type table map[Type]any

func (d table) Lookup(_ context.Context, name string, t Type) (*Answer, error) {
	switch v := d[t].(type) {
	case *Answer:
		return v, nil
	case error:
		return nil, v
	}
	return nil, &Error{Problem: NoRecord, Name: name, Type: t}
}

func addrs(texts ...string) *Answer {
	a := new(Answer)
	for _, text := range texts {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
	}
	return a
}

// An answer without records is a mistake of the Resolver. It must not look like
// a null MX, and a nil answer must not cause a panic.
func TestAnswerWithoutRecords(t *testing.T) {
	for name, r := range map[string]Func{
		"nil":           func(context.Context, string, Type) (*Answer, error) { return nil, nil },
		"empty":         func(context.Context, string, Type) (*Answer, error) { return &Answer{}, nil },
		"another field": func(context.Context, string, Type) (*Answer, error) { return addrs("192.0.2.1"), nil },
	} {
		a, err := Lookup(t.Context(), r, "example.net", TypeMX)
		if a != nil || !IsNotFound(err) {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

// The Resolver gets the name without the final dot.
func TestLookupRemovesTheFinalDot(t *testing.T) {
	var got string
	r := Func(func(_ context.Context, name string, _ Type) (*Answer, error) {
		got = name
		return addrs("192.0.2.1"), nil
	})
	if _, err := Lookup(t.Context(), r, "example.net.", TypeA); err != nil || got != "example.net" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAddrs(t *testing.T) {
	broken := &Error{Problem: Failure}
	for name, c := range map[string]struct {
		dns   table
		types []Type
		want  string // "temporary" or "none" for an error
	}{
		"both":                       {table{TypeA: addrs("192.0.2.1"), TypeAAAA: addrs("2001:db8::1")}, []Type{TypeA, TypeAAAA}, "192.0.2.1 2001:db8::1"},
		"one type":                   {table{TypeA: addrs("192.0.2.1"), TypeAAAA: addrs("2001:db8::1")}, []Type{TypeAAAA}, "2001:db8::1"},
		"one type fails":             {table{TypeA: broken, TypeAAAA: addrs("2001:db8::1")}, []Type{TypeA, TypeAAAA}, "2001:db8::1"},
		"the other type fails":       {table{TypeA: addrs("192.0.2.1"), TypeAAAA: broken}, []Type{TypeA, TypeAAAA}, "192.0.2.1"},
		"one type fails, one absent": {table{TypeAAAA: broken}, []Type{TypeA, TypeAAAA}, "temporary"},
		"one absent, one type fails": {table{TypeA: broken}, []Type{TypeA, TypeAAAA}, "temporary"},
		"absent":                     {table{}, []Type{TypeA, TypeAAAA}, "none"},
		"in 16 octets":               {table{TypeA: addrs("::ffff:192.0.2.1")}, []Type{TypeA}, "192.0.2.1"},
		"of the wrong family":        {table{TypeA: addrs("2001:db8::1")}, []Type{TypeA}, "none"},
	} {
		got, err := Addrs(t.Context(), c.dns, "mx.example.net", c.types...)
		text := strings.Trim(fmt.Sprint(got), "[]")
		switch {
		case IsNotFound(err):
			text = "none"
		case err != nil:
			text = "temporary"
		}
		if text != c.want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, c.want)
		}
	}
}

// The caller owns the addresses. The answer is shared.
func TestAddrsDoesNotChangeTheAnswer(t *testing.T) {
	shared := addrs("2001:db8::1", "::ffff:192.0.2.1")
	was := slices.Clone(shared.Addrs)
	got, err := Addrs(t.Context(), table{TypeA: shared}, "mx.example.net", TypeA)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	got[0] = netip.Addr{}
	if !slices.Equal(shared.Addrs, was) {
		t.Errorf("the answer is now %v", shared.Addrs)
	}
}

// Only an error that says so means that the record does not exist.
func TestIsNotFound(t *testing.T) {
	for err, want := range map[error]bool{
		&Error{}:                                       false,
		&Error{Problem: Failure}:                       false,
		&Error{Problem: NoSuchName}:                    true,
		&Error{Problem: NoRecord}:                      true,
		&Error{Problem: NotFound}:                      true,
		&Error{Problem: BadName}:                       true,
		&Error{Problem: AliasLoop}:                     false,
		&Error{Problem: 200}:                           false,
		fmt.Errorf("x: %w", &Error{Problem: NotFound}): true,
		&Error{Problem: Failure, Err: &net.DNSError{IsNotFound: true}}: false,
		&net.DNSError{IsNotFound: true}:                                true,
		&net.DNSError{IsTemporary: true}:                               false,
		context.Canceled:                                               false,
		errors.New("x"):                                                false,
	} {
		if got := IsNotFound(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
		if e := new(Error); errors.As(err, &e) && e.Temporary() == want {
			t.Errorf("%v: Temporary is %v too", err, want)
		}
	}
	if IsNotFound(nil) {
		t.Error("no error")
	}
}

func TestErrorText(t *testing.T) {
	err := &Error{Problem: Failure, Name: "example.net", Type: TypeMX, Detail: "SERVFAIL", Err: context.Canceled}
	if got := err.Error(); got != "example.net MX: DNS lookup failed: SERVFAIL: context canceled" {
		t.Error(got)
	}
	if !errors.Is(err, context.Canceled) {
		t.Error("the cause is lost")
	}
	if got := (&Error{Problem: 200, Name: "x", Type: 65}).Error(); got != "x TYPE65: DNSProblem(200)" {
		t.Error(got)
	}
}
