package routing

import (
	"slices"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// connectorIDs records the connector names in a protocol log.
type connectorIDs struct {
	mu    sync.Mutex // guards names
	names []string
}

func (c *connectorIDs) Log(e smtpclient.ProtocolEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.names, e.Connector) {
		c.names = append(c.names, e.Connector)
	}
}

// The connector-id in the send log is the connector's name for every kind of
// Transport, also if connectors share the Transport and the host.
func TestConnectorIDInSendLog(t *testing.T) {
	host := smtptest.NewServer(t, &smtpserver.Server{})
	ids := &connectorIDs{}
	shared := SMTP(&smtpclient.Transport{Name: "any", ProtocolLog: ids})
	connector := func(name, space string, transport Transport) Connector {
		return Connector{Name: name, Spaces: []string{space}, SmartHosts: SmartHosts(host.Addr), Transport: transport}
	}
	table, err := NewTable(
		connector("own", "own.example", SMTP(&smtpclient.Transport{ProtocolLog: ids})),
		connector("one", "one.example", shared), connector("two", "two.example", shared),
		connector("made", "made.example", nil))
	if err != nil {
		t.Fatal(err)
	}
	r := &Router{Table: table, Hostname: "relay.example.com",
		NewTransport: func(string) *smtpclient.Transport { return &smtpclient.Transport{ProtocolLog: ids} }}
	defer r.Close()
	for _, name := range []string{"own", "one", "two", "made", "one"} {
		m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@" + name + ".example"), Content: queue.String("Subject: x\r\n\r\nx\r\n")}
		hop, err := r.Route(t.Context(), m, m.Recipients[0])
		if err != nil {
			t.Fatal(err)
		}
		if res := r.Deliver(t.Context(), hop, m, m.Recipients); res[0].Outcome != queue.Success {
			t.Errorf("%s: %+v", name, res[0])
		}
	}
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if want := []string{"own", "one", "two", "made"}; !slices.Equal(ids.names, want) {
		t.Errorf("the log has connectors %q, want %q", ids.names, want)
	}
}
