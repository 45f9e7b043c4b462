package gateway

import "github.com/bridgehead-mail/bridgehead/internal/live"

// LiveSessions returns the live sessions with clients of all servers, also of those
// that [Listener.Replace] has replaced. Its methods are those of smtpserver.Server:
//
//	Sessions() []smtpserver.SessionInfo
//	EndSession(id string) bool
//	Watch(ctx context.Context, f smtpserver.WatchFilter) (<-chan smtpserver.ProtocolEvent, error)
//	Dialogue(id string) ([]smtpserver.ProtocolEvent, error)
//	KeepDialogue(n int)
//
// A watch also has the sessions of servers that Replace adds later, and
// KeepDialogue applies to them. The live sessions with next hops are those of the
// routing.Router.
func (g *Gateway) LiveSessions() *live.Group { return &g.sessions }
