package smtpserver

func (s *Session) trace(event byte, data []byte) {}

func (s *Session) traceCommand(verb, line []byte) {}

func (s *Session) traceInfo(text string) {}

func (s *Session) traceTLS() {}

func (s *Session) traceConnect() {}

func (s *Session) traceDisconnect(err error) {}
