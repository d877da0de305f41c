/* Storage Commitment's requestor by DCMTK's library, whose tools have none: asks for instances of one SOP class, keeps the
   association open, and prints the report that comes on it (PS3.4 J.3): its event type, then a line for each instance,
   "safe UID" or "failed UID reason".
   commitment_scu PORT TRANSACTION-UID SOP-CLASS-UID SOP-INSTANCE-UID... */
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/scu.h>

#include <cstdlib>
#include <iostream>

static void demand(const OFCondition &condition)
{
    if (condition.good())
        return;
    std::cerr << condition.text() << std::endl;
    std::exit(1);
}

static void print(DcmItem &report, const DcmTagKey &sequence, const char *what)
{
    DcmSequenceOfItems *items = NULL;
    if (report.findAndGetSequence(sequence, items).bad())
        return;
    for (DcmObject *object = items->nextInContainer(NULL); object != NULL; object = items->nextInContainer(object)) {
        DcmItem *item = static_cast<DcmItem *>(object);
        OFString instance;
        Uint16 reason = 0;
        demand(item->findAndGetOFString(DCM_ReferencedSOPInstanceUID, instance));
        std::cout << what << ' ' << instance;
        if (item->findAndGetUint16(DCM_FailureReason, reason).good())
            std::cout << ' ' << std::hex << reason;
        std::cout << std::endl;
    }
}

int main(int count, char **arguments)
{
    if (count < 5)
        return 2;
    DcmDataset request;
    demand(request.putAndInsertString(DCM_TransactionUID, arguments[2]));
    DcmSequenceOfItems *items = new DcmSequenceOfItems(DCM_ReferencedSOPSequence);
    demand(request.insert(items));
    for (int number = 4; number < count; number++) {
        DcmItem *item = new DcmItem;
        demand(items->append(item));
        demand(item->putAndInsertString(DCM_ReferencedSOPClassUID, arguments[3]));
        demand(item->putAndInsertString(DCM_ReferencedSOPInstanceUID, arguments[number]));
    }
    OFList<OFString> syntaxes;
    syntaxes.push_back(UID_LittleEndianExplicitTransferSyntax);
    syntaxes.push_back(UID_LittleEndianImplicitTransferSyntax);
    DcmSCU scu;
    scu.setAETitle("CT1");
    scu.setPeerAETitle("PACS");
    scu.setPeerHostName("127.0.0.1");
    scu.setPeerPort(static_cast<Uint16>(std::atoi(arguments[1])));
    demand(scu.addPresentationContext(UID_StorageCommitmentPushModelSOPClass, syntaxes));
    demand(scu.initNetwork());
    demand(scu.negotiateAssociation());
    const T_ASC_PresentationContextID context
        = scu.findPresentationContextID(UID_StorageCommitmentPushModelSOPClass, "");
    Uint16 status = 0;
    demand(scu.sendACTIONRequest(context, UID_StorageCommitmentPushModelSOPInstance, 1, &request, status));
    if (status != 0)
        return 3;
    DcmDataset *report = NULL;
    Uint16 event = 0;
    demand(scu.handleEVENTREPORTRequest(report, event, 120));
    OFString transaction;
    demand(report->findAndGetOFString(DCM_TransactionUID, transaction));
    std::cout << "transaction " << transaction << std::endl << "event " << event << std::endl;
    print(*report, DCM_ReferencedSOPSequence, "safe");
    print(*report, DCM_FailedSOPSequence, "failed");
    delete report;
    demand(scu.releaseAssociation());
    return 0;
}
