package console

import (
	"net/http"

	"github.com/bridgehead-mail/bridgehead/internal/site"
	"github.com/bridgehead-mail/bridgehead/policy/gateway"
)

// connectorsView is the table of send connectors.
type connectorsView struct {
	Connectors []site.SendConnector `json:"connectors" doc:"In the order of the settings. Only operators see the account names: holdAccounts and scope.identities."`
	Routing    bool                 `json:"routing" doc:"False if the relay has no routing table. Then there are no connectors to show."`
	Candidate  bool                 `json:"candidate" doc:"Whether POST /compare is possible."`
	Question   site.Question        `json:"-"`
}

func showConnectors(x *call, _ struct{}) (*connectorsView, error) {
	v := &connectorsView{Connectors: []site.SendConnector{}, Candidate: x.console.Candidate != nil}
	r := x.console.Gateway.Routing()
	if r == nil {
		return v, nil
	}
	v.Routing, v.Connectors = true, r.SendConnectors()
	if x.viewer() {
		for i := range v.Connectors {
			withoutAccounts(&v.Connectors[i])
		}
	}
	return v, nil
}

// withoutAccounts removes the names of accounts.
func withoutAccounts(c *site.SendConnector) {
	c.HoldAccounts = nil
	if c.Scope != nil {
		c.Scope.Identities = nil
	}
}

// routing returns the send side of the relay, or a problem if it has none that the
// console knows.
func (x *call) routing() (gateway.Routing, error) {
	if r := x.console.Gateway.Routing(); r != nil {
		return r, nil
	}
	return nil, refuse(http.StatusConflict, "The relay has no routing table: its Deliverer is not a routing.Router.")
}

// explainParams describe a hypothetical message.
type explainParams struct {
	To        string `param:"to" doc:"The address of the recipient. Without it, nothing is explained."`
	From      string `param:"from" doc:"The reverse-path; empty or <> is the null reverse-path."`
	Size      int64  `param:"size" doc:"In bytes."`
	Priority  int    `param:"priority" doc:"-9 to 9."`
	System    bool   `param:"system" doc:"yes for a message of the queue itself, for example a report."`
	Connector string `param:"connector" doc:"The receive connector that the message comes from."`
	Client    string `param:"client" doc:"The IP address of the client."`
	Identity  string `param:"identity" doc:"The authenticated identity of the client."`
	Hosts     bool   `param:"hosts" doc:"yes looks up the hosts in the DNS."`
}

// question checks the parameters.
func (p *explainParams) question() (site.Question, error) {
	q := site.Question{To: p.To, From: p.From, Size: p.Size, Priority: p.Priority, System: p.System,
		Connector: p.Connector, Client: p.Client, Identity: p.Identity, Hosts: p.Hosts}
	switch {
	case p.Size < 0:
		return q, wrongParameter("size", "it is negative")
	case p.Priority < -9 || p.Priority > 9:
		return q, wrongParameter("priority", "it is not -9 to 9")
	case len(p.To) > maxAddress || len(p.From) > maxAddress:
		return q, wrongParameter("to", "the address is too long")
	}
	return q, nil
}

// maxAddress is the maximum length of an address (RFC 5321, 4.5.3.1), with room for
// one that is not ASCII.
const maxAddress = 1000

// explainView is the answer to explainParams.
type explainView struct {
	Explanation *site.Explanation `json:"explanation,omitempty"`
	Question    site.Question     `json:"-"`
}

func showExplain(x *call, p explainParams) (*explainView, error) {
	q, err := p.question()
	if err != nil || q.To == "" {
		return &explainView{Question: q}, err
	}
	if q.Identity != "" && x.viewer() {
		// The answer would tell whether a connector is for the account.
		return nil, refuse(http.StatusForbidden, "Only operators see what applies to an account.")
	}
	r, err := x.routing()
	if err != nil {
		return nil, err
	}
	return &explainView{r.ExplainRoute(x.ctx(), q), q}, nil
}

func probe(x *call, p explainParams) (*explainView, error) {
	q, err := p.question()
	if err != nil {
		return nil, err
	}
	if q.To == "" {
		return nil, wrongParameter("to", "it is missing")
	}
	r, err := x.routing()
	if err != nil {
		return nil, err
	}
	q.Probe = true
	return &explainView{r.ExplainRoute(x.ctx(), q), q}, nil
}
