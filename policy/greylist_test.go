package policy

import (
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Install reports settings of a Greylist with which no mail could be accepted.
func TestInvalidGreylist(t *testing.T) {
	for _, c := range []struct {
		g    *Greylist
		want string
	}{
		{&Greylist{}, ""},
		{&Greylist{Delay: time.Minute, RetryWindow: time.Hour, Keep: time.Hour, KnownAfter: -1, Max: 10}, ""},
		{&Greylist{Delay: 72 * time.Hour}, "policy: Greylist.Delay is 72h0m0s and RetryWindow is 48h0m0s: no retry would be accepted"},
		{&Greylist{RetryWindow: time.Minute}, "policy: Greylist.Delay is 5m0s and RetryWindow is 1m0s: no retry would be accepted"},
		{&Greylist{Delay: -time.Hour}, "policy: Greylist.Delay is -1h0m0s: must not be negative"},
		{&Greylist{Keep: 35}, "policy: Greylist.Keep is 35 nanoseconds: is the unit missing, for example 35*time.Second?"},
		{&Greylist{Max: -1}, "policy: Greylist.Max is -1: must not be negative"},
	} {
		gate := &Gate{Domains: []Domain{{Name: "example.com"}}, Greylist: c.g, Queue: new(outbox)}
		got := ""
		if err := gate.Install(new(smtpserver.Server)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
