package gateway_test

import (
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// A relay that calls a program when mail has waited for an hour.
func ExampleAlarm() {
	q := &queue.Queue{Store: new(memory.Store), Deliverer: discard{}}
	relay := &gateway.Gateway{Queue: q}
	alarm := &gateway.Alarm{Queue: q, After: time.Hour, Notify: gateway.NotifyCommand("/usr/local/bin/page", "mail")}
	relay.Parts = append(relay.Parts, alarm)
	relay.Tasks = append(relay.Tasks, alarm.Run)
	// relay.Run(ctx)
}
