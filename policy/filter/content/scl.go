package content

import (
	"math"

	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Special values of a spam confidence level.
const (
	Trusted = -1 // the message is from a trusted client and is not filtered
	NoSpam  = 0  // certainly not spam
	Spam    = 9  // certainly spam
)

// A Rating is the spam confidence level of a message.
type Rating struct {
	Level int    // from -1 to 9
	By    string // the name of the agent that set the level
}

// Rate gives the current message of s a spam confidence level. If it is called
// several times, the highest level applies, except that Trusted overrides all
// other levels. A level below -1 becomes -1, and one above 9 becomes 9. by is the
// name of the agent.
func Rate(s *smtpserver.Session, level int, by string) {
	level = min(max(level, Trusted), Spam)
	if r, ok := RatingOf(s); ok && (r.Level == Trusted || level != Trusted && level <= r.Level) {
		return
	}
	transaction.Set(s, s.Message(), &Rating{level, by})
}

// RatingOf returns the rating of the current message of s. The result is false if
// the message has no rating.
func RatingOf(s *smtpserver.Session) (Rating, bool) {
	if r := transaction.Get[Rating](s, s.Message()); r != nil {
		return *r, true
	}
	return Rating{}, false
}

// FromScore converts a score of SpamAssassin or rspamd to a level:
// score/spam*5, rounded down, and limited to 0 to 9. spam is the lowest score
// of a message that the scanner calls spam. A message with this score gets
// level 5, and a message with 1.8 times this score gets level 9. If spam is not
// positive, the level is 0.
func FromScore(score, spam float64) int {
	level := math.Floor(score / spam * 5)
	if spam <= 0 || math.IsNaN(level) {
		return NoSpam
	}
	return int(min(max(level, NoSpam), Spam))
}
