package queue_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

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
		`{"Outcome":"deferred","Reply":{"Code":0,"EnhancedCode":[0,0,0],"Message":""},"Host":"","Addr":"","TLS":"","DSN":false,"Final":false,"Err":"no route"}`: queue.Result{Err: errors.New("no route")},
	} {
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%T: %s (%v), want %s", v, got, err, want)
		}
	}
}

// Each name leads back to its value, and a text that is no name is an error.
func TestNames(t *testing.T) {
	checkNames(t, "status", queue.Waiting)
	checkNames(t, "outcome", queue.Deferred)
	checkNames(t, "message status", queue.MessageReady)
	checkNames(t, "queue status", queue.QueueReady)
	checkNames(t, "event kind", queue.EventReceive)
	checkNames(t, "kind of limit", queue.LimitNone)
}

func checkNames[T interface {
	~uint8
	String() string
	encoding.TextMarshaler
}, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, what string, first T) {
	t.Helper()
	n := 0
	for v := first; v.String() != ""; v++ {
		n++
		var back T
		text, err := v.MarshalText()
		if err := errors.Join(err, P(&back).UnmarshalText(text)); err != nil || back != v || len(text) == 0 {
			t.Errorf("%s %d: %q is %d, %v", what, v, text, back, err)
		}
	}
	if invalid := T(255); n < 5 || invalid.String() != "" {
		t.Errorf("%s: %d names, and %d has the name %q", what, n, invalid, invalid.String())
	}
	back := first + 1
	if err := P(&back).UnmarshalText([]byte("lost")); err == nil || !strings.HasSuffix(err.Error(), "unknown "+what+` "lost"`) || back != first+1 {
		t.Errorf("%s: got %v and error %v", what, back, err)
	}
}

// Whatever the package describes to an operator as JSON can be read from it. Each
// field is set, so that a new one is checked too.
func TestJSONIsReadBack(t *testing.T) {
	for _, v := range []any{
		new(queue.Recipient), new(queue.Result), new(queue.MessageInfo), new(queue.QueueInfo), new(queue.Event),
		new(queue.Filter), new(queue.Schedule), new(queue.Origin), new(queue.NextHop),
		new(queue.Suspension),
	} {
		fill(t, reflect.ValueOf(v).Elem(), 1)
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		back := reflect.New(reflect.TypeOf(v).Elem())
		if err := json.Unmarshal(b, back.Interface()); err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		if !reflect.DeepEqual(back.Interface(), v) {
			t.Errorf("%T: %+v, want %+v; JSON %s", v, back.Elem(), reflect.ValueOf(v).Elem(), b)
		}
	}
}

// A recipient as it is submitted has no result yet.
func TestNewRecipientJSON(t *testing.T) {
	for _, r := range queue.Rcpt("bob@example.net") {
		var back queue.Recipient
		b, err := json.Marshal(r)
		if err := errors.Join(err, json.Unmarshal(b, &back)); err != nil || !reflect.DeepEqual(back, *r) {
			t.Errorf("%+v, %v, want %+v", back, err, *r)
		}
	}
	for _, bad := range []string{`{"Status":"lost"}`, `{"Status":""}`, `{"Last":{"Outcome":"lost"}}`, `{"Last":{"Err":1}}`} {
		if err := json.Unmarshal([]byte(bad), new(queue.Recipient)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// fill sets v and all that it contains to values that are not zero. n makes the
// values of one struct different.
func fill(t *testing.T, v reflect.Value, n int) {
	t.Helper()
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = time.Date(2026, 11, 28, 20, 0, n, n, time.UTC)
		return
	case *error:
		*at = errors.New("cause")
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), n+i)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), n+i)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n+i)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, n)
		fill(t, value, n+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.5)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint8:
		v.SetUint(uint64(1 + n%4))
	case reflect.Uint64:
		v.SetUint(uint64(n))
	default:
		t.Fatalf("a field of kind %s", v.Kind())
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
