"""What both DICOM services share: listener, association, DIMSE codec, access control, TLS, health.

This package knows neither Django, nor a database, nor what a service does with a message: a service passes in a
:class:`~dicom_listener.service.Service`, and :func:`dicom_listener.workers.run` answers with it until told to stop.
"""
