package program

import (
	"context"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// pauses are the values of -pause.
var pauses = []string{"none", "receiving", "sending", "all"}

func (s *Settings) pausesReceiving() bool { return s.Pause == "receiving" || s.Pause == "all" }
func (s *Settings) pausesSending() bool   { return s.Pause == "sending" || s.Pause == "all" }

// paused refuses new clients.
var paused = smtpserver.Agent{Name: "pause", Connect: func(context.Context, *smtpserver.Session) error {
	return smtpserver.Reject(421, "4.3.2", "Receiving is paused, try again later")
}}

// pauseServers makes the servers of the rules refuse new clients if -pause is receiving
// or all.
func (k *Kit) pauseServers(r *Rules) {
	for _, c := range r.Receive {
		if k.pausesReceiving() {
			c.Server.Agents = append(c.Server.Agents, paused)
		}
	}
}

// pauseQueue applies a change of -pause to the queue. A pause of receiving also pauses
// -pickup and -replay. was are the previous settings.
func (k *Kit) pauseQueue(was *Settings) {
	ctx, q := context.Background(), k.Queue
	switch is := k.pausesReceiving(); {
	case is && !was.pausesReceiving():
		q.Freeze(ctx)
	case !is && was.pausesReceiving():
		q.Thaw(ctx)
	}
	switch is := k.pausesSending(); {
	case is && !was.pausesSending():
		q.Pause(ctx)
	case !is && was.pausesSending():
		q.Continue(ctx)
	}
	if k.Pause != was.Pause {
		k.Logger.Warn("the setting pause is in force", "pause", k.Pause)
	}
}
