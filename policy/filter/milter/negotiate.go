package milter

import (
	"fmt"
	"net"

	gomilter "github.com/emersion/go-milter"
)

// What a milter may do and leave out. It may not ask for rejected recipients
// (of which no agent hears) nor for a list of macros of its own.
const (
	allActions = gomilter.OptAddHeader | gomilter.OptChangeBody | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt |
		gomilter.OptChangeHeader | gomilter.OptQuarantine | gomilter.OptChangeFrom | gomilter.OptAddRcptWithArgs

	allSteps = gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoMailFrom | gomilter.OptNoRcptTo | gomilter.OptNoData |
		gomilter.OptNoHeaders | gomilter.OptNoEOH | gomilter.OptNoBody | gomilter.OptNoUnknown |
		gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply | gomilter.OptNoRcptReply | gomilter.OptNoDataReply |
		gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply | gomilter.OptNoUnknownReply |
		gomilter.OptSkip | gomilter.OptHeaderLeadingSpace
)

// dialed hands go-milter a connection that there is already.
type dialed struct{ conn net.Conn }

func (d dialed) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// negotiate agrees with the milter on version, actions and steps. The
// timeouts are not go-milter's, which start again with each packet.
func (v *conversation) negotiate() error {
	client := gomilter.NewClientWithOptions("", "", gomilter.ClientOptions{
		Dialer: dialed{v.guard}, ActionMask: allActions, ProtocolMask: allSteps,
	})
	s, err := client.Session()
	if err != nil {
		return err
	}
	v.session = s
	if more := s.ActionOpts &^ allActions; more != 0 {
		return fmt.Errorf("%w: the milter wants actions %#x that were not offered", errProtocol, more)
	}
	if more := s.ProtocolOpts &^ allSteps; more != 0 {
		return fmt.Errorf("%w: the milter wants steps %#x that were not offered", errProtocol, more)
	}
	if v.guard.version < 4 { // in which DATA is new
		s.ProtocolOpts |= gomilter.OptNoData
	}
	return nil
}

func (v *conversation) without(step gomilter.OptProtocol) bool { return v.session.ProtocolOption(step) }
