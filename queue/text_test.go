package queue_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// JSON for an operator's web page has names instead of numbers.
func TestJSON(t *testing.T) {
	for want, v := range map[string]any{
		`"expired"`:     queue.Expired,
		`"unreachable"`: queue.Unreachable,
		`"bad mail"`:    queue.MessageBad,
		`"scheduled"`:   queue.QueueScheduled,
		`"SEND"`:        queue.EventSend,
		`""`:            queue.Status(200),
		`{"Outcome":"deferred","Reply":{"Code":0,"EnhancedCode":[0,0,0],"Message":""},"Host":"","Addr":"","TLS":"","DSN":false,"Final":false}`: queue.Result{Err: errors.New("no JSON")},
	} {
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%T: %s (%v), want %s", v, got, err, want)
		}
	}
}

func TestMessageStatusByName(t *testing.T) {
	var f struct{ Status queue.MessageStatus }
	if err := json.Unmarshal([]byte(`{"Status": "pending remove"}`), &f); err != nil || f.Status != queue.MessagePendingRemove {
		t.Errorf("got %v, %v", f.Status, err)
	}
	if err := json.Unmarshal([]byte(`{"Status": ""}`), &f); err != nil || f.Status != 0 {
		t.Errorf("no text: got %v, %v", f.Status, err)
	}
	if err := json.Unmarshal([]byte(`{"Status": "lost"}`), &f); err == nil || err.Error() != `queue: unknown message status "lost"` {
		t.Errorf("got error %v", err)
	}
}

func TestNextHopString(t *testing.T) {
	for want, hop := range map[string]queue.NextHop{
		"example.net via internet": {Connector: "internet", Destination: "example.net"},
		"via internet":             {Connector: "internet"},
		"example.net":              {Destination: "example.net"},
	} {
		if hop.String() != want {
			t.Errorf("got %q, want %q", hop.String(), want)
		}
	}
}
