package policy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

func TestRouted(t *testing.T) {
	for local, want := range map[string]bool{
		"alice": false, "alice+x": false, "50off": false, `"a b"`: false, `"a:b"`: false, "jörg": false, "a/b=c": false,
		"v%other.example": true, "other.example!v": true, `"v@other.example"`: true, `"v\@other.example"`: true,
		`"@other.example:v"`: true, `"other::v"`: true, "v\uff05other.example": true, "v\ufe6bother.example": true, "other.example\uff01v": true,
	} {
		if got := routed(local); got != want {
			t.Errorf("routed(%q) = %v", local, got)
		}
	}
}

// An address that requests relaying from the next host is refused if the
// directory lists every address, or queries a host that routes. It is accepted
// if the directory lists exactly this address.
func TestDirectoryThatSaysYesToEverything(t *testing.T) {
	all := DirectoryFunc(func(context.Context, string) (bool, error) { return true, nil })
	routes := DirectoryFunc(func(_ context.Context, a string) (bool, error) { // like a host that relays for this server
		return a == "alice@host.example" || strings.Contains(a, "%other.example@"), nil
	})
	uucp := DirectoryFunc(func(_ context.Context, a string) (bool, error) { return strings.HasPrefix(a, "other.example!"), nil })
	fails := DirectoryFunc(func(_ context.Context, a string) (bool, error) {
		if a == "v%other.example@down.example" {
			return true, nil
		}
		return false, errors.New("no connection")
	})
	srv, _ := install(t, &Gate{Domains: []Domain{
		{Name: "all.example", Directory: all},
		{Name: "shared.example", Kind: InternalRelay, Directory: Recipients("alice"), SharedWith: []OtherSystem{{Directory: all, Route: queue.NextHop{Connector: "other"}}}},
		{Name: "host.example", Directory: routes},
		{Name: "uucp.example", Directory: uucp},
		{Name: "down.example", Directory: fails},
		{Name: "catch.example", Directory: Recipients("alice", "a%b"), CatchAll: "alice@catch.example"},
		{Name: "list.example", Directory: Recipients("50%off", "a!b", `"x@y"`)},
	}}, nil)
	for to, want := range map[string]string{
		"alice@all.example":                 "250",
		"v%other.example@all.example":       "550 5.7.1 Unable to relay",
		"other.example!v@all.example":       "550 5.7.1",
		`"v@other.example"@all.example`:     "550 5.7.1",
		`"v\@other.example"@all.example`:    "550 5.7.1",
		`"\"v\"@other.example"@all.example`: "550 5.7.1",
		`"@other.example:v"@all.example`:    "550 5.7.1",
		`"other::v"@all.example`:            "550 5.7.1",
		"v%other.example@shared.example":    "550 5.7.1",
		"bob@shared.example":                "250",
		"v%other.example@host.example":      "550 5.7.1",
		`"v%other.example"@host.example`:    "550 5.7.1",
		"v%third.example@host.example":      "550 5.1.1",
		"other.example!v@uucp.example":      "550 5.7.1",
		"v%other.example@down.example":      "451 4.3.0",
		"v%other.example@catch.example":     "250", // delivered to alice
		"a%b@catch.example":                 "250",
		"50%off@list.example":               "250",
		"a!b@list.example":                  "250",
		`"x@y"@list.example`:                "250",
		"51%off@list.example":               "550 5.1.1",
	} {
		srv.Talk(t, stranger, mailFrom("x@example.net", "250")+"\nC: RCPT TO:<"+to+">\nS: "+want)
	}
}
