package program

import (
	"context"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// pauses are the values of -pause.
var pauses = []string{"none", "receiving", "sending", "all"}

func (s *Settings) pausesReceiving() bool { return s.Pause == "receiving" || s.Pause == "all" }
func (s *Settings) pausesSending() bool   { return s.Pause == "sending" || s.Pause == "all" }

// refusePaused makes the servers of the rules refuse new clients while receiving is
// paused, by -pause or by an administrator.
func (k *Kit) refusePaused(r *Rules) {
	paused := smtpserver.Agent{Name: "pause", Connect: func(context.Context, *smtpserver.Session) error {
		if !k.Queue.State().Frozen {
			return nil
		}
		return smtpserver.Reject(421, "4.3.2", "Receiving is paused, try again later")
	}}
	for _, c := range r.Receive {
		c.Server.Agents = append(c.Server.Agents, paused)
	}
}

// pauseQueue applies a change of -pause to the queue. An administrator can end the pause,
// until the setting changes again. A pause of receiving also pauses -pickup and -replay.
// was are the previous settings.
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
	switch {
	case k.Pause == was.Pause:
	case k.Pause == pauses[0]:
		k.Logger.Info("the pause of the setting pause has ended")
	default:
		k.Logger.Warn("the relay is paused by the setting pause", "pause", k.Pause)
	}
}
