package console

import (
	"fmt"
	"net/http"
	"strconv"
)

// Access is what a client may do, and its name for the audit log.
type Access struct {
	Name string
	Role Role
}

// A Role is what a client may see and do. The zero Role may do nothing.
type Role uint8

const (
	// Viewer may see the state of the relay, but no content of messages, no
	// dialogues and no account names. It may change nothing.
	Viewer Role = iota + 1
	// Operator may see and change everything.
	Operator
)

// String returns "none", "viewer" or "operator".
func (r Role) String() string {
	switch r {
	case 0:
		return "none"
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	}
	return fmt.Sprintf("Role(%d)", int(r))
}

// MarshalText returns the text of String.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a role from the text that String returns.
func (r *Role) UnmarshalText(text []byte) error {
	for _, role := range []Role{0, Viewer, Operator} {
		if role.String() == string(text) {
			*r = role
			return nil
		}
	}
	return fmt.Errorf("console: %q is not a role", text)
}

// authorize returns the access of a request. The error is a *problem.
func (c *Console) authorize(r *http.Request) (Access, error) {
	if peer, is := peerOf(r); is {
		return peer.access()
	}
	if err := c.checkHost(r); err != nil {
		return Access{}, err
	}
	if c.Authorize == nil {
		return c.token.access(r)
	}
	a, err := c.Authorize(r)
	switch {
	case err != nil:
		c.log.Warn("console: Authorize refuses a request", "client", r.RemoteAddr, "error", err)
		return Access{}, refuse(http.StatusForbidden, "You have no access to this console.")
	case a.Role != Viewer && a.Role != Operator:
		return Access{}, refuse(http.StatusForbidden, "You have no access to this console.")
	}
	return a, nil
}

// A peer is the process at the other end of a Unix socket.
type peer struct {
	uid uint32
	err error // its user ID could not be found
}

type peerKey struct{}

func peerOf(r *http.Request) (peer, bool) {
	p, is := r.Context().Value(peerKey{}).(peer)
	return p, is
}

// access returns the access of a client of the socket.
func (p peer) access() (Access, error) {
	if p.err != nil || p.uid != 0 && int64(p.uid) != int64(ownUID()) {
		return Access{}, refuse(http.StatusForbidden, "Only the user of the relay and root may use this socket.")
	}
	return Access{Name: "uid " + strconv.FormatUint(uint64(p.uid), 10), Role: Operator}, nil
}
