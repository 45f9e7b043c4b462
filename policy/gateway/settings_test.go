package gateway_test

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Run returns an error for a missing setting, and closes the Closers.
func TestMissingSettings(t *testing.T) {
	for want, change := range map[string]func(*relay){
		"gateway: Gateway.Queue is not set":   func(r *relay) { r.Queue = nil },
		"gateway: Listeners[1] has no Server": func(r *relay) { r.Listeners = append(r.Listeners, nil) },
		"gateway: Listeners[0] has no Server": func(r *relay) { r.Listeners[0].Server = nil },
		"gateway: the Server of Listeners[1] has no Handler: policy.Gate.Install sets it": func(r *relay) {
			r.Listeners = append(r.Listeners, &gateway.Listener{Server: &smtpserver.Server{}})
		},
		"gateway: Closers[1] is nil":                 func(r *relay) { r.Closers = slices.Insert(r.Closers, 1, io.Closer(nil)) },
		"gateway: Tracking.Dir is not set":           func(r *relay) { r.Tracking = &tracking.Log{} },
		"gateway: queue: Queue.Deliverer is not set": func(r *relay) { r.Queue.Deliverer = nil },
	} {
		r := newRelay(t)
		change(r)
		if err := r.Run(context.Background()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if !slices.Equal(r.closed, []string{"router", "store"}) {
			t.Errorf("%s: closed %v", want, r.closed)
		}
	}
}
