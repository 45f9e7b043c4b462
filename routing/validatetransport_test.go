package routing_test

import (
	"context"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A transport that can deliver no mail is an error of NewTable.
func TestInvalidTransports(t *testing.T) {
	const at = "connector c: Transport: "
	for _, c := range []struct {
		transport routing.Transport
		want      string
	}{
		{nil, ""},
		{routing.SMTP(&smtpclient.Transport{}), ""},
		{routing.SMTP(nil), "SMTP: the smtpclient.Transport is nil"},
		{(*routing.Pipe)(nil), "is a nil *routing.Pipe"},
		{&routing.Pipe{}, "Pipe.Command is not set"},
		{&routing.Pipe{Command: []string{""}}, "Pipe.Command is not set"},
		{&routing.Pipe{Command: []string{"procmail"}}, ""},
		{&routing.DropDir{}, "DropDir.Dir is not set"},
		{&routing.DropDir{Dir: "/var/drop"}, ""},
		{&routing.HTTPPost{}, "HTTPPost.URL is not an http or https URL"},
		{&routing.HTTPPost{URL: "hook.example.net/in"}, "HTTPPost.URL is not an http or https URL"},
		{&routing.HTTPPost{URL: "ftp://me:secret@hook.example.net"}, "HTTPPost.URL is not an http or https URL"},
		{&routing.HTTPPost{URL: "https://hook.example.net/in"}, ""},
		{routing.TransportFunc(nil), "is a nil routing.TransportFunc"},
		{routing.TransportFunc(func(context.Context, *routing.Job) []queue.Result { return nil }), ""},
	} {
		_, err := routing.NewTable(routing.Connector{Name: "c", Spaces: []string{"*"}, Transport: c.transport})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%T: %v", c.transport, err)
		case c.want != "" && (err == nil || err.Error() != at+c.want):
			t.Errorf("%T: got %v, want %s", c.transport, err, at+c.want)
		}
	}
}
