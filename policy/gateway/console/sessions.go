package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// The sides of a relay, for a parameter.
const (
	sideIn  = "in"  // sessions with clients
	sideOut = "out" // sessions with next hops
)

// sessionSource has the live sessions of one side.
type sessionSource struct {
	side string
	live.Source
}

// sources returns those of the sides that a parameter selects: both if it is empty.
func (c *Console) sources(side string) (all []sessionSource, err error) {
	if side != "" && side != sideIn && side != sideOut {
		return nil, wrongParameter("side", inert(strconv.Quote(side))+" is not in or out")
	}
	if side != sideOut {
		all = append(all, sessionSource{sideIn, c.Gateway.LiveSessions()})
	}
	if out, is := c.Gateway.Queue.Deliverer.(live.Source); is && side != sideIn {
		all = append(all, sessionSource{sideOut, out})
	}
	return all, nil
}

// keepDialogues makes all sessions keep the last lines of their dialogue, so that
// an operator can see how a session came to its state.
func (c *Console) keepDialogues() {
	all, _ := c.sources("")
	for _, s := range all {
		s.KeepDialogue(live.DefaultDialogue)
	}
}

// sessionsFilter selects live sessions. All fields that are set must match.
type sessionsFilter struct {
	Side      string `param:"side" doc:"in: sessions with clients. out: sessions with next hops. Default: both."`
	Connector string `param:"connector" doc:"The name of a receive connector or a send connector."`
	Address   string `param:"address" doc:"The IP address of the other end, or a network, for example 192.0.2.0/24."`
	State     string `param:"state" doc:"The state of the session."`
}

// sessionStates are the choices of the filter.
var sessionStates = []string{
	live.StateConnect, live.StateBanner, live.StateHelo, live.StateTLS, live.StateAuth, live.StateMail, live.StateRcpt,
	live.StateData, live.StateEndOfData, live.StateIdle, live.StateRefused, live.StateTaken, live.StateQuit,
}

// network returns the network that Address names, or the zero Prefix.
func (f *sessionsFilter) network() (netip.Prefix, error) { return networkOf("address", f.Address) }

// networkOf returns the network of a parameter: an IP address or a network.
func networkOf(name, text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip.Unmap().Prefix(ip.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, wrongParameter(name, fmt.Sprintf("%s is not an IP address or a network like 192.0.2.0/24", inert(strconv.Quote(text))))
	}
	return p.Masked(), nil
}

// sessionsParams select a page of live sessions.
type sessionsParams struct {
	sessionsFilter
	After string `param:"after" doc:"The value of next of the page before."`
	Limit int    `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// sessionsView is a page of live sessions.
type sessionsView struct {
	Sessions []sessionView `json:"sessions" doc:"The oldest first."`
	In       int           `json:"in" doc:"How many sessions with clients the filter selects, on all pages."`
	Out      int           `json:"out" doc:"How many sessions with next hops the filter selects, on all pages."`
	Outbound bool          `json:"outbound" doc:"False if the relay cannot list its sessions with next hops."`
	Next     string        `json:"next,omitempty" doc:"The value of the parameter after for the next page."`

	Params sessionsParams `json:"-"`
}

// sessionView is one live session.
type sessionView struct {
	Side       string    `json:"side" doc:"in or out."`
	ID         string    `json:"id"`
	Connector  string    `json:"connector"`
	Name       string    `json:"name,omitempty" doc:"The name that the client gave in HELO or EHLO, or the name of the host."`
	Remote     string    `json:"remote" doc:"The address and port of the client or the host."`
	Peer       string    `json:"peer,omitempty" doc:"The address and port of the proxy, if there is one."`
	Local      string    `json:"local" doc:"The address and port at this end."`
	Started    time.Time `json:"started"`
	State      string    `json:"state"`
	StateSince time.Time `json:"stateSince"`
	Waiting    string    `json:"waiting,omitempty" doc:"The agent that the session waits for."`
	TLS        string    `json:"tls,omitempty" doc:"The version and the cipher suite."`
	Identity   string    `json:"identity,omitempty" doc:"The account. Only for operators."`
	MessageID  string    `json:"message,omitempty" doc:"The ID of the message of the current transaction."`
	Sender     string    `json:"sender,omitempty" doc:"The reverse-path of the current transaction."`
	Recipients int       `json:"recipients" doc:"The accepted recipients of the current transaction."`
	Messages   int       `json:"messages" doc:"The transactions of the session so far."`
	BytesIn    int64     `json:"bytesIn" doc:"Received, in bytes."`
	BytesOut   int64     `json:"bytesOut" doc:"Sent, in bytes."`
}

func (x *call) sessionOf(side string, i *live.Info) sessionView {
	v := sessionView{
		Side: side, ID: i.ID, Connector: i.Connector, Name: i.Name, Remote: i.Remote, Peer: i.Peer, Local: i.Local,
		Started: i.Started, State: i.State, StateSince: i.StateSince, Waiting: i.Waiting, TLS: i.TLS,
		MessageID: i.MessageID, Sender: i.From, Recipients: i.Recipients, Messages: i.Messages, BytesIn: i.BytesIn, BytesOut: i.BytesOut,
	}
	if !x.viewer() {
		v.Identity = i.Identity
	}
	return v
}

// Direction says who has opened the connection.
func (v sessionView) Direction() string {
	if v.Side == sideOut {
		return "to"
	}
	return "from"
}

// place is the position of the session in the order of the list.
func (v *sessionView) place() sessionPlace {
	return sessionPlace{v.Started.UnixNano(), v.Side, v.ID}
}

// A sessionPlace is a position in the list. It stays valid if the session ends.
type sessionPlace struct {
	started  int64
	side, id string
}

func (p sessionPlace) compare(q sessionPlace) int {
	return cmp.Or(cmp.Compare(p.started, q.started), strings.Compare(p.side, q.side), strings.Compare(p.id, q.id))
}

// String returns the value of the parameter after.
func (p sessionPlace) String() string { return fmt.Sprintf("%d.%s.%s", p.started, p.side, p.id) }

func parsePlace(text string) (p sessionPlace, err error) {
	started, rest, _ := strings.Cut(text, ".")
	p.side, p.id, _ = strings.Cut(rest, ".")
	p.started, err = strconv.ParseInt(started, 10, 64)
	if err != nil || p.id == "" {
		return p, wrongParameter("after", "it is not the value of next of a page")
	}
	return p, nil
}

func showSessions(x *call, p sessionsParams) (*sessionsView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	all, err := x.liveSessions(&p.sessionsFilter)
	if err != nil {
		return nil, err
	}
	v := &sessionsView{Sessions: []sessionView{}, Params: p}
	_, v.Outbound = x.console.Gateway.Queue.Deliverer.(live.Source)
	for i := range all {
		if all[i].Side == sideIn {
			v.In++
		} else {
			v.Out++
		}
	}
	if p.After != "" {
		after, err := parsePlace(p.After)
		if err != nil {
			return nil, err
		}
		n, found := slices.BinarySearchFunc(all, after, func(v sessionView, p sessionPlace) int { return v.place().compare(p) })
		if found {
			n++
		}
		all = all[n:]
	}
	if len(all) > limit {
		all = all[:limit]
		v.Next = all[limit-1].place().String()
	}
	v.Sessions = append(v.Sessions, all...)
	return v, nil
}

// liveSessions returns the sessions that a filter selects, in the order of the list.
func (x *call) liveSessions(f *sessionsFilter) (all []sessionView, err error) {
	network, err := f.network()
	if err != nil {
		return nil, err
	}
	if f.State != "" && !slices.Contains(sessionStates, f.State) {
		return nil, wrongParameter("state", inert(strconv.Quote(f.State))+" is not one of "+strings.Join(sessionStates, ", "))
	}
	sources, err := x.console.sources(f.Side)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		infos := source.Sessions()
		for i := range infos {
			one := &infos[i]
			if f.Connector != "" && f.Connector != one.Connector || f.State != "" && f.State != one.State || network.IsValid() && !network.Contains(addrOf(one.Remote)) {
				continue
			}
			all = append(all, x.sessionOf(source.side, one))
		}
	}
	slices.SortFunc(all, func(a, b sessionView) int { return a.place().compare(b.place()) })
	return all, nil
}

// addrOf returns the IP address of an address with port, or the zero Addr.
func addrOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote) // the zero AddrPort for a Unix socket
	return at.Addr().Unmap().WithZone("")
}

// endParams select one live session.
type endParams struct {
	Side string `param:"side" doc:"in or out."`
	ID   string `param:"id" doc:"The ID of the session."`
}

// errNoSession says that a session has ended.
var errNoSession = refuse(http.StatusNotFound, "There is no live session with this ID. It may have ended.")

func planEndSession(x *call, p endParams) (*plan, error) {
	switch {
	case p.Side == "":
		return nil, wrongParameter("side", "it is missing")
	case p.ID == "":
		return nil, wrongParameter("id", "it is missing")
	}
	source, session, err := x.session(p.Side, p.ID)
	if err != nil {
		return nil, err
	}
	name := "the session with " + cmp.Or(session.Name, "the client") + " (" + session.Remote + ")"
	text := "The client gets 421 and can connect again. If the relay has received a complete message, the session first gets its reply."
	if p.Side == sideOut {
		text = "A message that is being sent stays in the queue and is tried again. If the host has received all of it, the session first waits for its reply."
	}
	return &plan{
		Title: "End " + name, Text: text, Count: 1, Things: "session", Back: "/sessions",
		do: func(context.Context) (int, error) {
			if !source.EndSession(p.ID) {
				return 0, errNoSession
			}
			return 1, nil
		},
	}, nil
}

// session returns one live session.
func (x *call) session(side, id string) (sessionSource, *sessionView, error) {
	sources, err := x.console.sources(side)
	if err != nil {
		return sessionSource{}, nil, err
	}
	for _, source := range sources {
		infos := source.Sessions()
		for i := range infos {
			if infos[i].ID == id {
				v := x.sessionOf(source.side, &infos[i])
				return source, &v, nil
			}
		}
	}
	return sessionSource{}, nil, errNoSession
}
