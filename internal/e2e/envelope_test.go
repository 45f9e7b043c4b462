package e2e

import (
	"reflect"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The packages that a message passes through have the same types for its options,
// its content and its results, so a value is passed on as a whole: a new field in
// internal/envelope needs no change in the code between them.
func TestOneDefinition(t *testing.T) {
	for name, types := range map[string][]reflect.Type{
		"MessageOptions": {reflect.TypeFor[smtpserver.MessageOptions](), reflect.TypeFor[queue.MessageOptions](), reflect.TypeFor[smtpclient.MessageOptions]()},
		"RcptOptions":    {reflect.TypeFor[smtpserver.RcptOptions](), reflect.TypeFor[queue.RcptOptions](), reflect.TypeFor[smtpclient.RcptOptions]()},
		"Content":        {reflect.TypeFor[smtpserver.Content](), reflect.TypeFor[queue.Content](), reflect.TypeFor[smtpclient.Content]()},
		"Result":         {reflect.TypeFor[queue.Result](), reflect.TypeFor[smtpclient.Result]()},
		"Outcome":        {reflect.TypeFor[queue.Outcome](), reflect.TypeFor[smtpclient.Outcome]()},
	} {
		for _, other := range types[1:] {
			if other != types[0] {
				t.Errorf("%s: %v and %v differ", name, types[0], other)
			}
		}
	}
	for name, field := range map[string]reflect.Type{
		"smtpserver": reflect.TypeFor[smtpserver.Message](), "queue": reflect.TypeFor[queue.Message](), "smtpclient": reflect.TypeFor[smtpclient.Message](),
	} {
		if f, ok := field.FieldByName("Options"); !ok || f.Type != reflect.TypeFor[queue.MessageOptions]() {
			t.Errorf("%s.Message does not contain the options", name)
		}
	}
	for name, field := range map[string]reflect.Type{
		"smtpserver": reflect.TypeFor[smtpserver.Recipient](), "queue": reflect.TypeFor[queue.Recipient](), "smtpclient": reflect.TypeFor[smtpclient.Recipient](),
	} {
		if f, ok := field.FieldByName("Options"); !ok || f.Type != reflect.TypeFor[queue.RcptOptions]() {
			t.Errorf("%s.Recipient does not contain the options", name)
		}
	}
}
